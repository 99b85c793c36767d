"""The measure for what the exporter makes of an ONNX file.

Probabilities are those of the file as it was given (exporter.from_onnx.original). Heatmaps are made a second time, in NumPy
from the feature map and its gradient, by the formulas of the papers; and the gradient, which is taken from the rules alone
(exporter.from_onnx.head), is checked against differences (exporter.from_onnx.differences).
"""

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from bundle.manifest import Method
from exporter.from_onnx.differences import DIRECTIONS, gradient_error
from exporter.from_onnx.head import Head
from exporter.from_onnx.original import Original
from exporter.gradcam import Explained
from exporter.parity import Answers
from exporter.report import Check, at_most

_BATCH = 4  # pictures whose gradients are in memory at a time
_PICTURES = 2  # on which the gradient is checked, for the two most likely classes
_GRADIENT_LIMIT = 1e-2  # of its length; a wrong rule is off by far more (exporter.from_onnx.differences)


class FileReference:
    """A classifier of an ONNX file, with heatmaps in NumPy."""

    name = "the ONNX file"

    def __init__(self, original: Original, graph: onnx.ModelProto, explained: Explained) -> None:
        """`graph` is `original` as it went into `explained`: pixels -> probabilities."""
        self._original = original
        self._head = Head(graph, explained.tensor)
        self._labels = explained.labels

    def __call__(self, pixels: NDArray[np.uint8], targets: NDArray[np.int64], method: Method) -> Answers:
        """pixels u8 [N, H, W, C], targets i64 [N, M] -> probabilities f32 [N, K], heatmaps f32 [N, M, h, w], 0..1."""
        probabilities = self._original(pixels)
        seeds = _one_hot(_classes(probabilities, targets), self._labels)
        parts = [slice(start, start + _BATCH) for start in range(0, len(pixels), _BATCH)]
        return probabilities, np.concatenate([self._heatmaps(pixels[part], seeds[part], method) for part in parts])

    def write(self, folder: Path) -> None:
        """An ONNX file has no other form."""

    def checks(self, folder: Path, pixels: NDArray[np.uint8]) -> list[Check]:
        """The gradient of the most likely classes against differences in double precision."""
        del folder  # nothing was written
        pixels = pixels[:_PICTURES]
        classes = _classes(self._original(pixels), np.tile([-1, -2], (len(pixels), 1)))
        error = gradient_error(self._head, pixels, classes, _one_hot(classes, self._labels))
        told = f"the rules in float32 with differences in float64, {len(pixels)} samples, {DIRECTIONS} directions each"
        return [at_most(_GRADIENT_LIMIT, error, "ONNX file: gradient of the score", told)]

    def _heatmaps(self, pixels: NDArray[np.uint8], seed: NDArray[np.float32], method: Method) -> NDArray[np.float32]:
        features = self._head.map(pixels)
        gradient = self._head.gradient(pixels, features, seed)
        channels = self._head.channel_axis
        return heatmaps(np.moveaxis(features, channels, 1), np.moveaxis(gradient, channels + 1, 2), method)


def heatmaps(features: NDArray[np.float32], gradient: NDArray[np.float32], method: Method) -> NDArray[np.float32]:
    """A f32 [N, C, h, w] and G f32 [N, M, C, h, w] -> heatmaps f32 [N, M, h, w] scaled to 0..1 by their own maximum.

    The formulas, with their sources, are those of exporter.gradcam.methods.
    """
    weights = gradient.astype(np.float64)
    if method == "gradcam":
        weights = weights.mean(axis=(3, 4), keepdims=True)
    elif method == "layercam":
        weights = np.maximum(weights, 0)
    evidence = np.maximum(np.einsum("nmchw,nchw->nmhw", weights, features), 0)
    peak = evidence.max(axis=(2, 3), keepdims=True)
    scaled: NDArray[np.float32] = (evidence / np.where(peak > 0, peak, 1)).astype(np.float32)
    return scaled


def _classes(probabilities: NDArray[np.float32], targets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Targets i64 [N, M] as classes; -1-r is the class ranked r-th, the lower one first where two are equal."""
    ranking = np.argsort(-probabilities, axis=1, kind="stable")
    ranked = np.take_along_axis(ranking, np.clip(-1 - targets, 0, None), axis=1)
    return np.where(targets < 0, ranked, targets)


def _one_hot(classes: NDArray[np.int64], labels: int) -> NDArray[np.float32]:
    return np.equal(classes[..., None], np.arange(labels)).astype(np.float32)
