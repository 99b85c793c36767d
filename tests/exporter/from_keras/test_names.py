"""Which layer became which tensor, and what people are told when they name one that did not."""

from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from exporter.errors import ExportError
from exporter.from_keras.convert import to_onnx, trace
from exporter.from_keras.names import LayerNames, graph_and_names, match
from tests.exporter.from_keras import networks

NAMES = LayerNames(
    tensors={"conv": ["a"], "one/conv": ["b"], "one/relu": ["c", "d"], "two/conv": ["e"], "two/folded": []},
    order=["a", "b", "c", "d", "inside", "e"],
)


def test_a_name_that_only_one_layer_has_stands_for_its_path() -> None:
    assert NAMES.path_of("relu") == "one/relu"
    assert NAMES.tensor_of("relu") == "c"
    assert NAMES.path_of("conv") == "conv"


def test_a_name_that_several_layers_have_is_refused_with_their_paths() -> None:
    names = LayerNames({"one/conv": ["b"], "two/conv": ["e"]}, ["b", "e"])

    with pytest.raises(
        ExportError, match="--layer conv: several layers have this name, choose one of one/conv, two/conv"
    ):
        names.tensor_of("conv")


@pytest.mark.parametrize(
    ("layer", "reason"), [("nothing", "no layer of this name"), ("folded", "does not compute its output")]
)
def test_a_layer_that_cannot_be_chosen_is_refused_with_those_that_can(layer: str, reason: str) -> None:
    with pytest.raises(
        ExportError, match=f"--layer {layer}: .*{reason}.*, choose one of conv, one/conv, one/relu, two/conv"
    ):
        NAMES.tensor_of(layer)


def test_of_hundreds_of_layers_those_with_a_name_like_it_are_told() -> None:
    names = LayerNames({f"block_{number}/relu_{number}": [str(number)] for number in range(100)}, [])

    with pytest.raises(
        ExportError, match=r"choose another, for example .*block_42/relu_42.*; `python -m exporter layers`"
    ):
        names.tensor_of("relu42")


def test_a_tensor_inside_a_layer_has_no_name_but_the_layer_before_it_is_told() -> None:
    assert NAMES.layer_of("d") == "one/relu"
    with pytest.raises(ExportError, match=r"'inside' is not the output of any layer; .*--layer one/relu"):
        NAMES.layer_of("inside")


def test_a_fused_batch_normalisation_does_not_hide_the_layers_around_it() -> None:
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
    pixels = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1), np.uint8)

    names = match(model, to_onnx(trace(model)), pixels)

    assert names.tensors["folded_away"] == []
    assert names.tensors["normalised"]
    assert names.layer_of(names.tensor_of("activated")) == "activated"


def test_layers_of_equal_shape_are_told_apart() -> None:
    parts = [layers.Conv2D(4, 3, padding="same", activation="relu", name=f"conv_{number}") for number in range(6)]
    model = networks.with_parts((8, 8, 4), [*parts, layers.GlobalAveragePooling2D(), layers.Dense(3, "softmax")])
    pixels = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 4), np.uint8)

    names = match(model, to_onnx(trace(model)), pixels)

    tensors = [names.tensor_of(f"conv_{number}") for number in range(6)]
    assert [names.layer_of(tensor) for tensor in tensors] == [f"conv_{number}" for number in range(6)]
    assert tensors == sorted(tensors, key=names.order.index)


def test_the_layers_of_a_file_are_found_without_pictures_and_so_are_those_of_a_run(tmp_path: Path) -> None:
    model = networks.tiny()
    model.save(tmp_path / "model.keras")

    for path in (tmp_path, tmp_path / "model.keras"):
        graph, names = graph_and_names(path)
        tensors = {output for node in graph.graph.node for output in node.output}
        assert {"first", "last", "pooled"} <= names.tensors.keys()
        assert names.tensor_of("last") in tensors


@pytest.mark.parametrize(
    ("shape", "dtype", "told"),
    [((8, 8, 1), "float32", r"takes float32 \[None, 8, 8, 1\]"), ((None, None, 3), "uint8", "fixed size")],
)
def test_a_file_that_takes_anything_but_pixels_of_a_fixed_size_is_refused(
    shape: tuple[int | None, ...], dtype: str, told: str, tmp_path: Path
) -> None:
    pixels = keras.Input(shape, dtype=dtype)
    average = layers.GlobalAveragePooling2D()(layers.Rescaling(1 / 255)(pixels))
    keras.Model(pixels, layers.Dense(3, activation="softmax")(average)).save(tmp_path / "model.keras")

    with pytest.raises(ExportError, match=told):
        graph_and_names(tmp_path)


def test_a_file_that_computes_in_half_precision_is_refused(tmp_path: Path) -> None:
    half = layers.Conv2D(4, 3, dtype="mixed_float16", name="half")
    parts = [half, layers.GlobalAveragePooling2D(), layers.Dense(3, activation="softmax")]
    networks.with_parts((8, 8, 3), parts).save(tmp_path / "model.keras")

    with pytest.raises(ExportError, match=r"half precision \(layer half\), .*under the policy float32"):
        graph_and_names(tmp_path)


def test_a_file_with_two_inputs_is_refused(tmp_path: Path) -> None:
    inputs = [keras.Input((8, 8, 1), dtype="uint8") for _ in range(2)]
    keras.Model(inputs, layers.Concatenate()(inputs)).save(tmp_path / "model.keras")

    with pytest.raises(ExportError, match="has 2 inputs and 1 outputs"):
        graph_and_names(tmp_path / "model.keras")
