"""Keras models through to ONNX: heatmaps against TensorFlow's GradientTape, which shares no code with them."""

from collections.abc import Callable

import keras
import numpy as np
import pytest
from keras import layers
from numpy.typing import NDArray

from bundle.manifest import Method
from exporter.errors import ExportError
from exporter.from_keras.convert import to_onnx, trace
from exporter.from_keras.names import match
from exporter.from_keras.oracle import Oracle
from exporter.gradcam import Explained, explain
from exporter.tidy import tidy
from tests.exporter.from_keras import networks
from tests.exporter.graphs import every_row, run

METHODS: tuple[Method, ...] = ("gradcam", "hirescam", "layercam")
NETWORKS = {
    "fashion": (networks.fashion, 93_322, "last", (3, 3, 64), (7, 7, 19, 19)),
    "sprites": (networks.sprites, 69_405, "last", (4, 12, 64), (26, 26, 134, 62)),
    "digits": (networks.digits, 56_394, "last", (9, 9, 64), (5, 5, 23, 23)),
    "transfer": (networks.transfer, 414_051, "backbone/out_relu", (2, 2, 1280), (15.5, 15.5, 79.5, 79.5)),
    "residual": (networks.residual, 203, "add", (8, 8, 4), (0, 0, 8, 8)),
}


def pictures(model: keras.Model, count: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (count, *model.input_shape[1:]), np.uint8)


def check_against_tape(model: keras.Model, explained: Explained, layer: str, *targets: int) -> None:
    """Probabilities and heatmaps of the graph, by every method, are those of GradientTape on the Keras model."""
    pixels, oracle = pictures(model, 4), Oracle(model, layer, METHODS)
    asked = every_row(4, *targets)
    for number, method in enumerate(METHODS):
        found = run(explained.model, pixels=pixels, targets=asked, methods=np.full_like(asked, number))
        for one, another in zip(found, oracle(pixels, asked, method), strict=True):
            np.testing.assert_allclose(one, another, atol=1e-4)
    assert oracle(pixels, asked, "gradcam")[1].any()


@pytest.mark.parametrize("name", NETWORKS)
def test_heatmaps_equal_those_of_gradient_tape(name: str) -> None:
    build, parameters, layer, size, extent = NETWORKS[name]
    keras.backend.clear_session()  # the names of what is not named count up
    model = build()
    graph = to_onnx(trace(model))
    explained = explain(tidy(graph), None, METHODS)

    assert model.count_params() == parameters
    assert match(model, graph, pictures(model, 4)).layer_of(explained.tensor) == layer
    assert (explained.height, explained.width, explained.channels) == size
    assert explained.extent == pytest.approx(extent)
    check_against_tape(model, explained, layer, -1, -2, -3, *range(explained.labels), 99, -99)


@pytest.mark.parametrize(
    ("build", "layer"),
    [(networks.fashion, "first"), (networks.sprites, "last"), (networks.residual, "trunk")],
)
def test_an_earlier_layer_can_be_explained(build: Callable[[], keras.Model], layer: str) -> None:
    model = build()
    graph = to_onnx(trace(model))
    tensor = match(model, graph, pictures(model, 4)).tensor_of(layer)

    check_against_tape(model, explain(tidy(graph), tensor, METHODS), layer, -1, -2, 0)


UNUSUAL: dict[str, list[layers.Layer]] = {
    "an exact GELU, which TensorFlow computes by erfc": [layers.Conv2D(6, 3), layers.Activation("gelu")],
    "a grouped convolution, which Keras compiles by XLA": [layers.Conv2D(6, 3, groups=3)],
    "mean and variance that are no variables": [layers.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 3.0])],
    "zeros around negative numbers": [layers.Rescaling(-1), layers.ZeroPadding2D(1), layers.MaxPooling2D(3, strides=2)],
    "zeros that count in an average": [layers.ZeroPadding2D(1), layers.AveragePooling2D(3, strides=2)],
}


@pytest.mark.parametrize("parts", UNUSUAL.values(), ids=UNUSUAL)
def test_what_converter_or_engine_would_get_wrong_answers_as_in_keras(parts: list[layers.Layer]) -> None:
    ending = [layers.GlobalAveragePooling2D(), layers.Dense(3, activation="softmax")]
    model = networks.with_parts((9, 9, 3), [*parts, *ending])
    model.layers[-1].kernel.assign(model.layers[-1].kernel * 30)  # so that classes differ
    pixels = pictures(model, 4)

    probabilities = run(to_onnx(trace(model)), pixels=pixels)[0]

    np.testing.assert_allclose(probabilities, model.predict_on_batch(pixels), atol=1e-5)


def test_large_weights_are_in_the_graph_though_they_did_not_travel_with_it() -> None:
    parts = [layers.Conv2D(512, 3, activation="relu"), layers.Conv2D(64, 3), layers.Flatten(), layers.Dense(1024)]
    model = networks.with_parts((8, 8, 3), [*parts, layers.Dense(300), layers.Dense(3, activation="softmax")])
    pixels = pictures(model, 4)
    traced = trace(model)
    graph = to_onnx(traced)

    assert len(traced.weights) == 3
    assert [value.name for value in graph.graph.input] == ["pixels"]
    assert "Transpose" not in {node.op_type for node in graph.graph.node if node.input[0] in traced.weights}
    np.testing.assert_allclose(run(graph, pixels=pixels)[0], model.predict_on_batch(pixels), atol=1e-5)


def test_an_input_and_an_output_by_name_are_the_one_input_and_the_one_output() -> None:
    plain = networks.tiny()
    named = keras.Model({plain.inputs[0].name: plain.inputs[0]}, {"answer": plain.outputs[0]})
    pixels, targets = pictures(plain, 2), every_row(2, 0, 1, 2)

    graph = to_onnx(trace(named))

    np.testing.assert_allclose(run(graph, pixels=pixels)[0], plain.predict_on_batch(pixels), atol=1e-6)
    assert match(named, graph, pixels).tensor_of("last") == match(plain, graph, pixels).tensor_of("last")
    for one, another in zip(
        *(Oracle(model, "last", ["gradcam"])(pixels, targets, "gradcam") for model in (named, plain)), strict=True
    ):
        np.testing.assert_allclose(one, another, atol=1e-6)


def test_an_operation_without_a_converter_is_named() -> None:
    class Strange(layers.Layer):  # type: ignore[misc]  # Keras is untyped
        def call(self, inputs: object) -> object:
            import tensorflow as tf

            return tf.math.igamma(1.0, inputs)

    model = networks.with_head([Strange(), layers.Dense(3, activation="softmax")])

    with pytest.raises(ExportError, match="no converter for the TensorFlow operation Igamma"):
        to_onnx(trace(model))


@pytest.mark.parametrize(
    ("units", "activation", "told"),
    [(3, "linear", "AddV2|BiasAdd"), (3, "relu", "Relu"), (1, "softmax", "Softmax")],
)
@pytest.mark.filterwarnings("ignore:.*softmax over axis -1.*:UserWarning")
def test_what_is_not_a_classifier_is_refused_by_what_it_answers(units: int, activation: str, told: str) -> None:
    model = networks.with_head([layers.Dense(units, activation=activation)])

    with pytest.raises(ExportError, match=rf"the model answers a ({told}) of shape \[None, {units}\]"):
        trace(model).ending()


@pytest.mark.parametrize(
    ("units", "activation", "kind", "labels"),
    [(3, "softmax", "multiclass", 3), (1, "sigmoid", "binary", 2), (3, "sigmoid", "multilabel", 3)],
)
def test_the_kind_of_a_classifier_is_told_by_its_end(units: int, activation: str, kind: str, labels: int) -> None:
    ending = trace(networks.with_head([layers.Dense(units, activation=activation)])).ending()

    assert (ending.kind, ending.labels) == (kind, labels)
