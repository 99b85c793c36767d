"""The three kinds of network that the project trains, with random weights."""

import numpy as np
from keras import Model, Sequential, layers, ops, utils


def fashion() -> Model:
    """Three convolutions with pooling between, a dense head on the flattened map: 93,322 parameters."""
    return _built(
        [
            layers.Input((28, 28, 1), dtype="uint8"),
            layers.Rescaling(1 / 255),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, activation="relu", name="last"),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )


def sprites() -> Model:
    """Each convolution is pooled, the last too; one sigmoid: 69,405 parameters."""
    return _built(
        [
            layers.Input((90, 160, 3), dtype="uint8"),
            layers.Rescaling(1 / 255),
            layers.Conv2D(20, 5, activation="relu"),
            layers.MaxPooling2D(3),
            layers.Conv2D(20, 5, activation="relu"),
            layers.MaxPooling2D(3),
            layers.Conv2D(64, 5, activation="relu", name="last"),
            layers.MaxPooling2D(3),
            layers.Flatten(),
            layers.Dense(100, activation="relu"),
            layers.Dropout(0.3),
            layers.Dense(1, activation="sigmoid"),
        ]
    )


def digits() -> Model:
    """A head that averages the last map over space."""
    return _built(
        [
            layers.Input((28, 28, 1), dtype="uint8"),
            layers.Rescaling(1 / 255),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, activation="relu"),
            layers.Conv2D(64, 3, activation="relu", name="last"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(10, activation="softmax"),
        ]
    )


def tiny() -> Model:
    """The smallest network with everything in it: 8x8 grey pixels, three classes."""
    return _built(
        [
            layers.Input((8, 8, 1), dtype="uint8"),
            layers.Rescaling(1 / 255),
            layers.Conv2D(4, 3, activation="relu", name="first"),
            layers.Conv2D(4, 3, activation="relu", name="last"),
            layers.MaxPooling2D(2, name="pooled"),
            layers.Flatten(),
            layers.Dense(3, activation="softmax", name="probabilities"),
        ]
    )


def _built(parts: list[layers.Layer]) -> Model:
    """A model with random weights, random biases too, so that converters cannot leave them out."""
    utils.set_random_seed(0)
    model = Sequential(parts)
    random = np.random.default_rng(0)
    for weight in model.weights:
        if len(weight.shape) == 1:
            weight.assign(ops.convert_to_tensor(random.normal(0, 0.1, weight.shape), "float32"))
    return model
