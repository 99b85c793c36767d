"""The same explanations by TensorFlow's own automatic differentiation: the measure that the ONNX graph is checked against.

It shares no line with exporter.gradcam. The same concrete function answers in Python, fills golden.npz and becomes the
signature of the SavedModel, so that TensorFlow users get heatmaps too.

The model runs as a whole. On its way the output of the chosen layer is tapped and watched by a GradientTape that watches
nothing else; the backward pass therefore covers what follows that layer, once for each target.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx_ir as ir
import tensorflow as tf
from numpy.typing import NDArray

from bundle import manifest
from bundle.manifest import Kind, Method, Tensor
from exporter import parity, signatures
from exporter.errors import ExportError
from exporter.from_keras.convert import pixels_of
from exporter.from_keras.ending import ending
from exporter.from_keras.model import answer, packed
from exporter.from_keras.taps import tapped
from exporter.parity import Answers
from exporter.report import Check, at_most

# These tell of a tensor's shape alone.
_SHAPES = {"Shape", "ShapeN", "Size", "Rank"}


def _gradcam(maps: Any, gradient: Any) -> Any:
    return tf.reduce_sum(tf.reduce_mean(gradient, axis=(1, 2), keepdims=True) * maps, axis=3)


def _hirescam(maps: Any, gradient: Any) -> Any:
    return tf.reduce_sum(gradient * maps, axis=3)


def _layercam(maps: Any, gradient: Any) -> Any:
    return tf.reduce_sum(tf.nn.relu(gradient) * maps, axis=3)


# A and its gradient G, both [N, h, w, C] -> evidence [N, h, w], of which the positive part counts. Sources: Selvaraju et al.,
# ICCV 2017; Draelos and Carin, arXiv 2011.08891; Jiang et al., IEEE Transactions on Image Processing 2021.
_EVIDENCE: dict[Method, Callable[[Any, Any], Any]] = {
    "gradcam": _gradcam,
    "hirescam": _hirescam,
    "layercam": _layercam,
}


class Oracle:
    """A Keras classifier with heatmaps by `methods` on the output of one of its layers (an exporter Reference)."""

    name = "Keras"

    def __init__(self, model: keras.Model, layer: str, methods: Sequence[Method]) -> None:
        """`layer` is the path of a layer with output f32 [N, h, w, C] through which the model's whole answer passes.

        A layer inside a model inside the model is "backbone/relu". Raises ExportError when there is no such layer, when it
        is used several times, when part of the answer goes past it, or when the model is no classifier.
        """
        self._model, self._layer, self._methods = model, layer, tuple(methods)
        targets = tf.TensorSpec([None, None], tf.int64, name="targets")
        several = [tf.TensorSpec([None, None], tf.int64, name="methods")] if len(methods) > 1 else []
        function = tf.function(self._answer, input_signature=[pixels_of(model), targets, *several], autograph=False)
        self._function = function.get_concrete_function()

    def __call__(self, pixels: NDArray[np.uint8], targets: NDArray[np.int64], method: Method) -> Answers:
        """pixels u8 [N, H, W, C], targets i64 [N, M] -> probabilities f32 [N, K], heatmaps f32 [N, M, h, w], 0..1."""
        return _run(self._function, self._methods, pixels, targets, method)

    def write(self, folder: Path) -> None:
        """Writes a SavedModel whose signature serving_default is this oracle."""
        module = tf.Module()
        module.weights = [weight.value for weight in self._model.variables]
        tf.saved_model.save(module, str(folder / manifest.SAVED_MODEL), signatures=self._function)

    def checks(self, folder: Path, pixels: NDArray[np.uint8]) -> list[Check]:
        """The oracle against Keras' own `predict`; the SavedModel in `folder` against the oracle and model.onnx."""
        loaded = tf.saved_model.load(str(folder / manifest.SAVED_MODEL))
        signature = loaded.signatures["serving_default"]
        expected = {method: parity.answers_to_all(self, pixels, self._labels, method) for method in self._methods}
        found = [
            self._prediction_check(expected[self._methods[0]]["top class"][0], pixels),
            signatures.check_saved_model(signature, *_signature(folder / manifest.ONNX_MODEL)),
        ]
        for method, answers in expected.items():
            found += parity.compare(("SavedModel", self.name), self._form(signature), answers, pixels, method)
        return found

    def _form(self, function: Any) -> parity.Form:
        return lambda pixels, targets, method: _run(function, self._methods, pixels, targets, method)

    @property
    def _labels(self) -> int:
        return int(self._function.structured_outputs["probabilities"].shape[1])

    def _prediction_check(self, probabilities: NDArray[np.float32], pixels: NDArray[np.uint8]) -> Check:
        """What was traced against what the person who trained the model gets from it."""
        parts = [self._model.predict_on_batch(packed(self._model, part)) for part in parity.batches(pixels)]
        predicted = np.concatenate([keras.tree.flatten(part)[0] for part in parts])
        if predicted.shape[1] == 1:
            predicted = np.concatenate([1 - predicted, predicted], axis=1)
        difference = parity.largest(probabilities - predicted)
        told = f"GradientTape's function with the model's predict, {len(pixels)} samples"
        return at_most(parity.PROBABILITIES_LIMIT, difference, f"{self.name}: probabilities", told)

    def _answer(self, pixels: Any, targets: Any, methods: Any = None) -> dict[str, Any]:
        """The function that is traced; `methods` i64 [N, M] is there when there are several."""
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            feature_map, probabilities = self._run_with_tap(pixels, tape)
            end = ending(probabilities)
            scores = _both(tf.reshape(end.scores, tf.shape(probabilities)), end.kind, lambda z: -z)
        self._check_place(feature_map, scores, pixels)
        probabilities = _both(probabilities, end.kind, lambda p: 1 - p)
        methods = tf.zeros_like(targets) if methods is None else methods

        def heatmap(asked: tuple[Any, Any]) -> Any:
            """classes and methods i64 [N] -> f32 [N, h, w]."""
            gradient = tape.gradient(scores, feature_map, tf.one_hot(asked[0], end.labels))
            return _scaled(self._evidence(feature_map, gradient, asked[1]))

        count = tf.shape(targets)[1]
        none = [[0, 0], [0, tf.cast(count == 0, tf.int32)]]  # map_fn needs at least one thing to do
        asked = [tf.transpose(tf.pad(each, none)) for each in (_classes(probabilities, targets), methods)]
        heatmaps = tf.map_fn(heatmap, tuple(asked), fn_output_signature=tf.float32)[:count]
        return {"probabilities": probabilities, "heatmaps": tf.transpose(heatmaps, [1, 0, 2, 3])}

    def _run_with_tap(self, pixels: Any, tape: Any) -> tuple[Any, Any]:
        """Runs the model; returns the output of the layer, watched by `tape` from there on, and the probabilities."""
        seen = []

        def tap(path: str, output: Any) -> Any:
            if path != self._layer:
                return output
            seen.append(tf.identity(output))  # a layer may return its very input, which others use too
            tape.watch(seen[-1])
            return seen[-1]

        with tapped(tap):
            probabilities = answer(self._model, pixels)
        if not seen:
            raise ExportError(f"--layer {self._layer}: the model has no layer of this name")
        if len(seen) > 1:
            raise ExportError(
                f"--layer {self._layer}: the model uses this layer {len(seen)} times, and heatmaps are of one place; "
                "choose a layer that it uses once"
            )
        return seen[0], probabilities

    def _check_place(self, feature_map: Any, scores: Any, pixels: Any) -> None:
        if len(feature_map.shape) != 4:
            raise ExportError(
                f"--layer {self._layer}: its output has shape {list(feature_map.shape)}, which is no spatial map; "
                "choose a layer with an output [N, h, w, C]"
            )
        untouched = not any(operation.type == "ReadVariableOp" for operation in _before(feature_map))
        if untouched and "gradcam" in self._methods:  # a mean over the gradients of all pixels says nothing of any
            raise ExportError(
                f"--layer {self._layer}: its output is the picture itself, before the network has done anything to it; choose a "
                "layer after a convolution. A network without one can be explained by --method hirescam, pixel by pixel"
            )
        if pixels.op in _before(scores, feature_map):
            raise ExportError(
                f"--layer {self._layer}: part of the answer goes past this layer; choose one that all of it passes through"
            )

    def _evidence(self, feature_map: Any, gradient: Any, methods: Any) -> Any:
        """The evidence by the method that each picture asks for, the first where it names none: f32 [N, h, w]."""
        maps = tf.stack([_EVIDENCE[method](feature_map, gradient) for method in self._methods])
        known = tf.logical_and(methods >= 0, methods < len(self._methods))
        chosen = tf.one_hot(tf.where(known, methods, 0), len(self._methods), axis=0)
        return tf.reduce_sum(maps * chosen[:, :, None, None], axis=0)


def _run(
    function: Any, carried: Sequence[Method], pixels: NDArray[np.uint8], targets: NDArray[np.int64], method: Method
) -> Answers:
    """Asks a function with the inputs and outputs of an oracle that carries the methods `carried`."""
    feeds = {"pixels": tf.constant(pixels), "targets": tf.constant(targets)}
    if len(carried) > 1:
        feeds["methods"] = tf.fill(targets.shape, tf.constant(carried.index(method), tf.int64))
    answers = function(**feeds)
    return answers["probabilities"].numpy(), answers["heatmaps"].numpy()


def _signature(path: Path) -> tuple[list[Tensor], list[Tensor]]:
    """Inputs and outputs of an ONNX file, as a manifest writes them."""
    graph = ir.load(path).graph

    def tensors(values: Sequence[Any]) -> list[Tensor]:
        return [
            Tensor(
                name=value.name,
                dtype=value.dtype.numpy().name,
                shape=[size if isinstance(size, int) else -1 for size in value.shape],
            )
            for value in values
        ]

    return tensors(graph.inputs), tensors(graph.outputs)


def _before(tensor: Any, barrier: Any = None) -> set[Any]:
    """The operations whose values `tensor` depends on; with a `barrier`, otherwise than through that tensor."""
    pending, found = [tensor], set()
    while pending:
        each = pending.pop()
        if each is not barrier and each.op not in found and each.op.type not in _SHAPES:
            found.add(each.op)
            pending.extend(each.op.inputs)
    return found


def _scaled(evidence: Any) -> Any:
    """Evidence [N, h, w] -> its positive part in parts of the maximum; all 0 where nothing is positive."""
    positive = tf.nn.relu(evidence)
    return tf.math.divide_no_nan(positive, tf.reduce_max(positive, axis=(1, 2), keepdims=True))


def _both(values: Any, kind: Kind, opposite: Callable[[Any], Any]) -> Any:
    """The values of all classes [N, K]; one sigmoid stands for two classes, the first being the opposite."""
    return tf.concat([opposite(values), values], axis=1) if kind == "binary" else values


def _classes(probabilities: Any, targets: Any) -> Any:
    """Targets i64 [N, M] as classes: -1-r is the class ranked r-th, equal ones by number; -1 where there is none."""
    ranking = tf.argsort(probabilities, axis=1, direction="DESCENDING", stable=True)
    ranking = tf.pad(tf.cast(ranking, tf.int64), [[0, 0], [0, 1]], constant_values=-1)
    rank = tf.clip_by_value(-1 - targets, 0, tf.shape(probabilities, tf.int64)[1])
    return tf.where(targets < 0, tf.gather(ranking, rank, batch_dims=1), targets)
