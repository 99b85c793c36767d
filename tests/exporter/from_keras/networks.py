"""The three kinds of network that the project trains, and networks as other people build them, with random weights."""

import math

import numpy as np
from keras import Input, Model, Sequential, applications, layers, ops, utils


def fashion() -> Model:
    """Three convolutions with pooling between, a dense head on the flattened map: 93,322 parameters."""
    return _built(
        [
            layers.Input((28, 28, 1), dtype="uint8"),
            layers.Rescaling(1 / 255),
            layers.Conv2D(32, 3, activation="relu", name="first"),
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


def transfer() -> Model:
    """As in transfer learning: a backbone that is a model of its own, inside the model, and a small head."""
    utils.set_random_seed(0)
    backbone = applications.MobileNetV2((64, 64, 3), alpha=0.35, include_top=False, weights=None, name="backbone")
    pixels = Input((64, 64, 3), dtype="uint8")
    features = backbone(layers.Rescaling(1 / 127.5, offset=-1, name="scaled")(pixels))
    average = layers.Dropout(0.2)(layers.GlobalAveragePooling2D()(features))
    return Model(pixels, layers.Dense(3, activation="softmax", name="probabilities")(average))


def residual() -> Model:
    """A skip connection written as `+`, which makes an operator of the model and no layer."""
    utils.set_random_seed(0)
    pixels = Input((8, 8, 1), dtype="uint8")
    trunk = layers.Conv2D(4, 3, padding="same", activation="relu", name="trunk")(layers.Rescaling(1 / 255)(pixels))
    branch = layers.Conv2D(4, 3, padding="same", name="branch")(trunk)
    average = layers.GlobalAveragePooling2D()(trunk + branch)
    return Model(pixels, layers.Dense(3, activation="softmax")(average))


def with_sine() -> Model:
    """After the map "last" comes an operator that no classifier has in its head."""
    pixels = Input((8, 8, 1), dtype="uint8")
    last = layers.Conv2D(4, 3, name="last")(layers.Rescaling(1 / 255)(pixels))
    average = layers.GlobalAveragePooling2D()(ops.sin(last))
    return Model(pixels, layers.Dense(3, activation="softmax")(average))


def with_parts(shape: tuple[int, int, int], parts: list[layers.Layer]) -> Model:
    """`parts` on pixels of `shape` (height, width, channels), scaled to 0..1."""
    return _built([layers.Input(shape, dtype="uint8"), layers.Rescaling(1 / 255), *parts])


def with_head(head: list[layers.Layer]) -> Model:
    """A map "last" of 6x6x4, averaged over space, and then `head`."""
    last = layers.Conv2D(4, 3, activation="relu", name="last")
    return with_parts((8, 8, 1), [last, layers.GlobalAveragePooling2D(), *head])


def _built(parts: list[layers.Layer]) -> Model:
    """A model with random weights, random biases too, so that converters cannot leave them out.

    All are drawn here: layers choose the seed of their own when they are made, before anybody can set one.
    """
    model = Sequential(parts)
    random = np.random.default_rng(0)
    for weight in model.weights:
        shape = tuple(weight.shape)
        deviation = 0.1 if len(shape) == 1 else math.prod(shape[:-1]) ** -0.5
        weight.assign(ops.convert_to_tensor(random.normal(0, deviation, shape), "float32"))
    return model
