"""Grad-CAM by TensorFlow's own automatic differentiation: the measure that the ONNX graph is checked against.

It shares no line with exporter.gradcam. The same concrete function answers in Python, fills golden.npz and becomes the
signature of the SavedModel, so that TensorFlow users get heatmaps too.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from bundle import manifest
from bundle.manifest import Kind, Method
from exporter.errors import ExportError
from exporter.parity import Answers
from exporter.report import Check

_KINDS: dict[str, Kind] = {"softmax": "multiclass", "sigmoid": "binary"}


class Oracle(tf.Module):  # type: ignore[misc]  # TensorFlow is untyped
    """A Keras classifier with heatmaps by `methods` on the output of one of its layers."""

    name = "Keras"

    def __init__(self, model: keras.Model, layer: str, methods: Sequence[Method] = ("gradcam",)) -> None:
        """`layer` names a layer with output f32 [N, h, w, C] through which the whole model's answer passes.

        Raises ExportError when it does not, or when the model does not end in a softmax or a single sigmoid.
        """
        super().__init__()
        last = model.layers[-1]
        self.kind = kind_of(model)
        self._model = model
        self._methods = tuple(methods)
        feature_map = model.get_layer(layer).output
        score = _without_activation(last)
        try:
            self._body = keras.Model(model.inputs[0], feature_map)
            self._head = keras.Model(feature_map, score(last.input))
            self._tail = keras.Model(feature_map, model.outputs[0])
        except ValueError as error:
            raise ExportError(
                f"--layer {layer}: part of the answer goes past this layer; choose one that all of it passes through"
            ) from error
        score.set_weights(last.get_weights())
        targets = tf.TensorSpec([None, None], tf.int64, name="targets")
        pixels = tf.TensorSpec([None, *model.input_shape[1:]], tf.uint8, name="pixels")
        several = [tf.TensorSpec([None, None], tf.int64, name="methods")] if len(self._methods) > 1 else []
        self.answer = tf.function(self._answer, input_signature=[pixels, targets, *several])

    def __call__(self, pixels: NDArray[np.uint8], targets: NDArray[np.int64], method: Method = "gradcam") -> Answers:
        """pixels u8 [N, H, W, C], targets i64 [N, M] -> probabilities f32 [N, K], heatmaps f32 [N, M, h, w] in 0..1."""
        several = [tf.fill(targets.shape, tf.constant(self._methods.index(method), tf.int64))]
        answers = self.answer(tf.constant(pixels), tf.constant(targets), *several[: len(self._methods) - 1])
        return answers["probabilities"].numpy(), answers["heatmaps"].numpy()

    def write(self, folder: Path) -> None:
        """Writes a SavedModel whose signature serving_default is this oracle."""
        path = str(folder / manifest.SAVED_MODEL)
        tf.saved_model.save(self, path, signatures={"serving_default": self.answer.get_concrete_function()})

    def checks(self, folder: Path, pixels: NDArray[np.uint8]) -> list[Check]:
        raise NotImplementedError

    def _answer(self, pixels: Any, targets: Any) -> dict[str, Any]:
        features = self._body(pixels, training=False)
        probabilities = _both(self._tail(features, training=False), self.kind, lambda p: 1 - p)
        classes = _classes(probabilities, targets)
        heatmaps = tf.map_fn(
            lambda chosen: self._heatmap(features, chosen), tf.transpose(classes), fn_output_signature=tf.float32
        )
        return {"probabilities": probabilities, "heatmaps": tf.transpose(heatmaps, [1, 0, 2, 3])}

    def _heatmap(self, features: Any, classes: Any) -> Any:
        """features f32 [N, h, w, C], classes i64 [N] -> heatmaps f32 [N, h, w]."""
        with tf.GradientTape() as tape:
            tape.watch(features)
            scores = _both(self._head(features, training=False), self.kind, lambda z: -z)
            score = tf.reduce_sum(scores * tf.one_hot(classes, scores.shape[1]), axis=1)
        weights = tf.reduce_mean(tape.gradient(score, features), axis=(1, 2), keepdims=True)
        evidence = tf.nn.relu(tf.reduce_sum(weights * features, axis=3))
        return tf.math.divide_no_nan(evidence, tf.reduce_max(evidence, axis=(1, 2), keepdims=True))


def kind_of(model: keras.Model) -> Kind:
    """What the last layer's activation makes of the model; raises ExportError when it is no classifier we know."""
    last = model.layers[-1]
    activation = getattr(getattr(last, "activation", None), "__name__", "none")
    if activation not in _KINDS or (activation == "sigmoid") != (model.output_shape[-1] == 1):
        raise ExportError(
            f"the last layer ({last.name}: {type(last).__name__}, activation {activation}, output {model.output_shape}) "
            "is not a softmax over the classes or one sigmoid; end the model in one of them"
        )
    return _KINDS[activation]


def _without_activation(layer: keras.Layer) -> keras.Layer:
    """A new layer that computes what `layer` does before its activation, once it has the same weights."""
    return type(layer).from_config({**layer.get_config(), "activation": "linear", "name": "score"})


def _both(values: Any, kind: Kind, opposite: Any) -> Any:
    """The values of all classes [N, K]; one sigmoid stands for two classes, the first being the opposite."""
    return tf.concat([opposite(values), values], axis=1) if kind == "binary" else values


def _classes(probabilities: Any, targets: Any) -> Any:
    """Targets i64 [N, M] as classes: -1-r is the class ranked r-th, equal ones by number; -1 where there is none."""
    ranking = tf.argsort(probabilities, axis=1, direction="DESCENDING", stable=True)
    ranking = tf.pad(tf.cast(ranking, tf.int64), [[0, 0], [0, 1]], constant_values=-1)
    rank = tf.clip_by_value(-1 - targets, 0, tf.shape(probabilities, tf.int64)[1])
    return tf.where(targets < 0, tf.gather(ranking, rank, batch_dims=1), targets)
