"""Heatmaps compiled into ONNX against TensorFlow's GradientTape, which shares no code with them."""

from collections.abc import Callable

import keras
import numpy as np
import pytest

from exporter.convert import match, to_onnx
from exporter.errors import ExportError
from exporter.gradcam import explain
from exporter.oracle import Oracle, kind_of
from tests.exporter import networks
from tests.exporter.graphs import every_row, run

NETWORKS = {
    "fashion": (networks.fashion, 93_322, (3, 3, 64), (7, 7, 19, 19)),
    "sprites": (networks.sprites, 69_405, (4, 12, 64), (26, 26, 134, 62)),
    "digits": (networks.digits, 56_394, (9, 9, 64), (5, 5, 23, 23)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_heatmaps_equal_those_of_gradient_tape(name: str) -> None:
    build, parameters, size, extent = NETWORKS[name]
    model = build()
    pixels = pictures(model, 6)
    converted = to_onnx(model)
    explained = explain(converted)

    layer = match(model, converted, pixels).layer_of(explained.tensor)

    assert model.count_params() == parameters
    assert layer == "last"
    assert (explained.height, explained.width, explained.channels) == size
    assert explained.extent == pytest.approx(extent)
    oracle = Oracle(model, layer)
    for targets in ([-1], [-2], [1], [-1, -2, -3], list(range(explained.labels)), [99, -99]):
        asked = every_row(len(pixels), *targets)
        probabilities, heatmaps = run(explained.model, pixels=pixels, targets=asked)
        expected_probabilities, expected_heatmaps = oracle(pixels, asked)
        np.testing.assert_allclose(probabilities, expected_probabilities, atol=1e-5)
        np.testing.assert_allclose(heatmaps, expected_heatmaps, atol=1e-4)
        if targets == list(range(explained.labels)):
            assert heatmaps.any()


@pytest.mark.parametrize("build", [networks.fashion, networks.sprites])
def test_an_earlier_layer_can_be_explained_when_all_operators_after_it_have_rules(
    build: Callable[[], keras.Model],
) -> None:
    """The output of the flattening's pooling: the map that the network itself flattens."""
    model = build()
    layer = next(layer.name for layer in reversed(model.layers) if len(layer.output.shape) == 4)
    pixels = pictures(model, 3)
    converted = to_onnx(model)

    explained = explain(converted, match(model, converted, pixels).tensor_of(layer))

    targets = every_row(3, -1, -2, 0)
    _, heatmaps = run(explained.model, pixels=pixels, targets=targets)
    np.testing.assert_allclose(heatmaps, Oracle(model, layer)(pixels, targets)[1], atol=1e-4)


def test_a_fused_batch_normalisation_does_not_hide_the_layers_around_it() -> None:
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Input((8, 8, 1), dtype="uint8"),
            layers.Rescaling(1 / 255),
            layers.Conv2D(4, 3, name="folded_away"),
            layers.BatchNormalization(name="normalised"),
            layers.ReLU(name="activated"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.get_layer("normalised").set_weights([np.full(4, value, "float32") for value in (2, 0.3, 0.1, 0.5)])
    pixels = pictures(model, 3)

    matches = match(model, to_onnx(model), pixels)

    assert matches.tensors["folded_away"] == []
    assert matches.tensors["normalised"]
    assert matches.layer_of(matches.tensor_of("activated")) == "activated"


def test_a_layer_beside_a_skip_connection_is_refused() -> None:
    layers = keras.layers
    pixels = keras.Input((8, 8, 1), dtype="uint8")
    trunk = layers.Conv2D(4, 3, padding="same")(layers.Rescaling(1 / 255)(pixels))
    branch = layers.Conv2D(4, 3, padding="same", name="branch")(trunk)
    average = layers.GlobalAveragePooling2D()(layers.Add()([trunk, branch]))
    model = keras.Model(pixels, layers.Dense(3, activation="softmax")(average))

    with pytest.raises(ExportError, match=r"--layer branch: part of the answer goes past this layer"):
        Oracle(model, "branch")


@pytest.mark.parametrize(
    ("units", "activation"),
    [(3, "linear"), (3, "sigmoid"), (1, "softmax")],
    ids=["scores", "several sigmoids", "one softmax"],
)
def test_what_is_not_a_classifier_is_refused_by_its_last_layer(units: int, activation: str) -> None:
    layers = keras.layers
    model = keras.Sequential([layers.Input((4,)), layers.Dense(units, activation=activation, name="ending")])

    with pytest.raises(ExportError, match=rf"the last layer \(ending: Dense, activation {activation}"):
        kind_of(model)


def pictures(model: keras.Model, count: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(0).integers(0, 256, (count, *model.input_shape[1:]), np.uint8)
