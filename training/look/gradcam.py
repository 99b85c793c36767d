"""Grad-CAM (R. R. Selvaraju et al., ICCV 2017) by TensorFlow's GradientTape: where the evidence for a class is.

It shares no line with the graph that the exporter compiles: an independent oracle, and it works before any export.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from training.calibration import probabilities, split
from training.look import sheets
from training.look.extent import extent
from training.look.network import Network, maps
from training.progress import bar


@dataclass(frozen=True)
class Question:
    """What evidence is looked for."""

    layers: list[str]
    classes: list[int]  # empty: the most probable one of each picture
    colours: str  # a colour map of matplotlib


class GradCam:
    """A classifier with heatmaps on its layers."""

    def __init__(self, model: keras.Model) -> None:
        """`model`: float32 pixels [N, H, W, C] to probabilities; raises RecipeError when it does not end in them."""
        self._scores, self._activation = split(model)

    def probabilities(self, pixels: Any) -> NDArray[np.float32]:
        """float32 [N, K] of every class; one sigmoid p is answered as [1 - p, p]."""
        return probabilities(np.asarray(self._scores(pixels, training=False)), self._activation)

    def heatmaps(self, pixels: Any, path: str, classes: Sequence[int]) -> NDArray[np.float32]:
        """Evidence for one class in each picture at the layer `path`: float32 [N, h, w], 0..1, the strongest is 1.

        Of the score before softmax or sigmoid; for class 0 of one sigmoid that score is negative.
        """
        with tf.GradientTape() as tape:
            pixels = tf.convert_to_tensor(pixels, tf.float32)
            tape.watch(pixels)
            scores, (found,) = maps(self._scores, pixels, [path])
            scores = tf.concat([-scores, scores], axis=1) if scores.shape[1] == 1 else scores
            chosen = tf.reduce_sum(tf.gather(scores, classes, axis=1, batch_dims=1))
        weights = tf.reduce_mean(tape.gradient(chosen, found), axis=(1, 2), keepdims=True)
        evidence = tf.nn.relu(tf.reduce_sum(weights * found, axis=3))
        strongest = tf.reduce_max(evidence, axis=(1, 2), keepdims=True)
        heatmaps: NDArray[np.float32] = tf.math.divide_no_nan(evidence, strongest).numpy()
        return heatmaps


def write(folder: Path, network: Network, pixels: NDArray[np.float32], question: Question) -> None:
    """Writes gradcam.png: for each picture [N, H, W, C] a heatmap for each class and layer."""
    explainer = GradCam(network.model)
    answers = explainer.probabilities(pixels)
    tiles: list[tuple[str, NDArray[np.uint8]]] = []
    with bar() as progress:
        for index, answer in enumerate(progress.track(answers, description="pictures")):
            one = pixels[index : index + 1]
            tiles.append(("picture", sheets.shown(one[0])))
            for number in question.classes or [int(answer.argmax())]:
                name = network.labels[number] if network.labels else f"class {number}"
                for path in question.layers:
                    heatmap = explainer.heatmaps(one, path, [number])[0]
                    caption = f"{name} {answer[number]:.3f}, {path.rpartition('/')[2]}"
                    tiles.append(
                        (caption, sheets.overlaid(one[0], heatmap, question.colours, extent(network.model, path)))
                    )
    columns = 1 + max(1, len(question.classes)) * len(question.layers)
    sheets.sheet(folder / "gradcam.png", "Grad-CAM: class, probability, layer", tiles, columns * _repeated(columns))


def _repeated(columns: int) -> int:
    """How many pictures stand beside each other on a sheet whose pictures take `columns` each."""
    return max(1, 8 // columns)
