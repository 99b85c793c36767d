"""A network with random weights must answer differently for different pictures, or a check of its answers proves nothing."""

from typing import Any

import keras
import numpy as np

from bench.loadgen.answers import least_difference
from bench.peers.random_weights import spread

LAYERS = 12


def deep_network() -> Any:
    """As `exporter.from_keras.application` builds one: preprocessing, then the architecture as one layer. Its signal fades."""
    inputs = signal = keras.Input((8, 8, 3))
    for _ in range(LAYERS):
        weights = keras.initializers.RandomNormal(stddev=0.02)
        signal = keras.layers.Conv2D(4, 3, padding="same", kernel_initializer=weights)(signal)
        signal = keras.layers.ReLU()(keras.layers.BatchNormalization()(signal))
    pooled = keras.layers.GlobalAveragePooling2D()(signal)
    inner = keras.Model(inputs, keras.layers.Dense(5, activation="softmax")(pooled))
    pixels = keras.Input((8, 8, 3), dtype="uint8")
    return keras.Model(pixels, inner(keras.ops.cast(pixels, "float32") / 255))


def test_the_answers_to_different_pictures_are_spread() -> None:
    keras.utils.set_random_seed(0)
    network, pixels = deep_network(), np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), np.uint8)
    assert least_difference(network(pixels).numpy()) < 1e-6
    spread(network, pixels)
    assert least_difference(network(pixels).numpy()) > 1e-3
