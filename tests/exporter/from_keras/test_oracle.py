"""The measure itself: explanations by GradientTape, against closed forms and against what they must not depend on."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from numpy.typing import NDArray

from bundle.manifest import Method
from exporter.errors import ExportError
from exporter.from_keras.oracle import Oracle
from tests.exporter.from_keras import networks
from tests.exporter.graphs import every_row

METHODS: tuple[Method, ...] = ("gradcam", "hirescam", "layercam")


def pictures(model: keras.Model, count: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (count, *model.input_shape[1:]), np.uint8)


def of_averaged(maps: NDArray[np.float32], weights: NDArray[np.float32]) -> dict[Method, NDArray[np.float32]]:
    """The heatmaps [N, K, h, w] of a map [N, h, w, C] that is averaged and multiplied with `weights` [C, K].

    The gradient of score k is W_k / (h w) in every cell: Grad-CAM and HiResCAM are the same, LayerCAM takes relu(W_k).
    """
    evidence = np.einsum("nhwc,ck->nkhw", maps, weights)
    positive = np.einsum("nhwc,ck->nkhw", maps, np.maximum(weights, 0))
    return {"gradcam": scaled(evidence), "hirescam": scaled(evidence), "layercam": scaled(positive)}


def scaled(evidence: NDArray[np.float32]) -> NDArray[np.float32]:
    """The positive part in parts of the maximum."""
    positive = np.maximum(evidence, 0)
    peak = positive.max(axis=(2, 3), keepdims=True)
    made: NDArray[np.float32] = np.divide(positive, peak, out=np.zeros_like(positive), where=peak > 0)
    return made


def test_a_layer_of_a_backbone_inside_the_model_is_explained() -> None:
    model = networks.transfer()
    pixels = pictures(model, 3)
    oracle = Oracle(model, "backbone/out_relu", METHODS)

    maps = model.get_layer("backbone")(model.get_layer("scaled")(pixels), training=False)
    expected = of_averaged(np.asarray(maps), model.layers[-1].get_weights()[0])
    for method in METHODS:
        probabilities, heatmaps = oracle(pixels, every_row(3, 0, 1, 2), method)
        np.testing.assert_allclose(probabilities, model.predict_on_batch(pixels), atol=1e-6)
        np.testing.assert_allclose(heatmaps, expected[method], atol=1e-5)


def test_ranks_and_classes_name_the_same_maps_and_what_is_no_class_has_an_empty_one() -> None:
    model = networks.digits()
    pixels = pictures(model, 4)
    oracle = Oracle(model, "last", ["gradcam"])

    probabilities, ranked = oracle(pixels, every_row(4, -1, -2, -11, 10, -(2**63), 2**63 - 1), "gradcam")
    _, by_class = oracle(pixels, np.argsort(-probabilities, axis=1)[:, :2], "gradcam")

    np.testing.assert_array_equal(ranked[:, :2], by_class)
    assert by_class.any()
    assert not ranked[:, 2:].any()


def test_no_targets_are_no_heatmaps() -> None:
    model = networks.tiny()

    probabilities, heatmaps = Oracle(model, "last", METHODS)(pictures(model, 2), np.zeros((2, 0), np.int64), "layercam")

    assert probabilities.shape == (2, 3)
    assert heatmaps.shape == (2, 0, 4, 4)


@pytest.mark.parametrize(
    "head",
    [
        [layers.Dense(3), layers.Softmax()],
        [layers.Dense(3), layers.Activation("softmax")],
        [layers.Reshape((1, 1, 4)), layers.Conv2D(3, 1), layers.Softmax(), layers.Flatten()],
        [keras.Sequential([layers.Input((4,)), layers.Dense(3), layers.Activation("softmax")])],
    ],
    ids=["a layer of its own", "an activation layer", "before a flattening", "in a model inside the model"],
)
def test_the_score_is_what_enters_the_softmax_wherever_that_is(head: list[layers.Layer]) -> None:
    plain, other = networks.with_head([layers.Dense(3, activation="softmax")]), networks.with_head(head)
    weights = plain.get_weights()
    other.set_weights([value.reshape(weight.shape) for value, weight in zip(weights, other.weights, strict=True)])
    pixels, targets = pictures(plain, 3), every_row(3, 0, 1, 2)

    expected = Oracle(plain, "last", ["gradcam"])(pixels, targets, "gradcam")
    found = Oracle(other, "last", ["gradcam"])(pixels, targets, "gradcam")

    assert expected[1].any()
    for one, another in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, another, atol=1e-5)


def test_one_sigmoid_explains_two_opposite_classes_and_several_explain_each_label() -> None:
    single = networks.with_head([layers.Dense(1, activation="sigmoid")])
    several = networks.with_head([layers.Dense(2, activation="sigmoid")])
    bias, kernel = single.layers[-1].bias, single.layers[-1].kernel
    several.layers[2 - 1].set_weights(single.layers[2 - 1].get_weights())
    several.layers[-1].set_weights([np.hstack([-kernel, kernel]), np.hstack([-bias, bias])])
    pixels, targets = pictures(single, 3), every_row(3, 0, 1)

    binary = Oracle(single, "last", ["gradcam"])(pixels, targets, "gradcam")
    multilabel = Oracle(several, "last", ["gradcam"])(pixels, targets, "gradcam")

    for one, another in zip(binary, multilabel, strict=True):
        np.testing.assert_allclose(one, another, atol=1e-5)


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        ("trunk", None),
        ("add", None),
        ("branch", "part of the answer goes past this layer"),
        ("rescaling", "is the picture itself"),
        ("global_average_pooling2d", "no spatial map"),
        ("nothing", "no layer of this name"),
    ],
)
def test_only_a_map_that_the_whole_answer_passes_can_be_explained(layer: str, reason: str | None) -> None:
    keras.backend.clear_session()  # the names of what is not named count up
    model = networks.residual()

    if reason is None:
        assert Oracle(model, layer, ["gradcam"])(pictures(model, 2), every_row(2, 0, 1, 2), "gradcam")[1].any()
    else:
        with pytest.raises(ExportError, match=f"--layer {layer}: .*{reason}"):
            Oracle(model, layer, ["gradcam"])


def test_a_layer_that_is_used_twice_is_refused() -> None:
    pixels, shared = keras.Input((8, 8, 1), dtype="uint8"), layers.Conv2D(1, 3, padding="same", name="shared")
    average = layers.GlobalAveragePooling2D()(shared(shared(layers.Rescaling(1 / 255)(pixels))))
    model = keras.Model(pixels, layers.Dense(3, activation="softmax")(average))

    with pytest.raises(ExportError, match="--layer shared: the model uses this layer 2 times"):
        Oracle(model, "shared", ["gradcam"])


def test_the_model_is_left_as_it_was() -> None:
    model = networks.tiny()
    pixels, before = pictures(model, 2), keras.Operation.__call__
    answers = model.predict_on_batch(pixels)

    Oracle(model, "last", METHODS)

    assert keras.Operation.__call__ is before
    np.testing.assert_array_equal(model.predict_on_batch(pixels), answers)


def test_the_saved_model_answers_alone_and_each_target_chooses_its_method(tmp_path: Path) -> None:
    model = networks.tiny()
    pixels = pictures(model, 2)
    oracle = Oracle(model, "last", METHODS)
    oracle.write(tmp_path)

    function = tf.saved_model.load(str(tmp_path / "saved_model")).signatures["serving_default"]
    targets, methods = every_row(2, 1, 1, 1, 1), every_row(2, 0, 1, 2, 9)
    found = function(pixels=tf.constant(pixels), targets=tf.constant(targets), methods=tf.constant(methods))

    for place, method in enumerate([*METHODS, "gradcam"]):
        expected = oracle(pixels, targets[:, :1], method)
        np.testing.assert_allclose(found["heatmaps"][:, place : place + 1], expected[1], atol=1e-6)
        np.testing.assert_allclose(found["probabilities"], expected[0], atol=1e-6)
