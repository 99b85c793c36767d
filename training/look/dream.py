"""DeepDream (A. Mordvintsev, C. Olah and M. Tyka, 2015): a picture with more of what some layers see in it.

From a small octave to the whole picture: what is dreamt small becomes large, and what is lost by shrinking is given back
from the original at each octave.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from training.look import sheets
from training.look.ascent import climber
from training.look.network import Network, maps
from training.progress import bar


@dataclass(frozen=True)
class Dream:
    """How it is dreamt."""

    layers: Sequence[str]
    octaves: int
    ratio: float  # between the sides of two octaves
    steps: int  # in each octave
    step: float  # root mean square of a step, in grey levels
    seed: int


def write(folder: Path, network: Network, pixels: NDArray[np.float32], dream: Dream) -> None:
    """Writes dream.png, the picture [1, H, W, C] dreamt, and beside.png, before and after."""
    _, height, width, _ = pixels.shape
    sizes = [
        (max(16, round(height / dream.ratio**octave)), max(16, round(width / dream.ratio**octave)))
        for octave in reversed(range(dream.octaves))
    ]
    dice = np.random.default_rng(dream.seed)
    original, dreamt = tf.constant(pixels), tf.image.resize(pixels, sizes[0])
    with bar() as progress:
        task = progress.add_task("steps", total=len(sizes) * dream.steps)
        for place, size in enumerate(sizes):
            if place:
                kept = tf.image.resize(tf.image.resize(original, sizes[place - 1]), size)
                lost = tf.image.resize(original, size) - kept
                dreamt = tf.image.resize(dreamt, size) + lost
            climb = climber(_gain(network, dream.layers, size))
            for _ in range(dream.steps):
                shift = tf.constant(dice.integers(-16, 17, 2), tf.int32)
                dreamt = climb(dreamt, tf.constant(dream.step), shift)
                progress.advance(task)
    found = dreamt.numpy()[0]
    sheets.save(folder / "dream.png", found)
    title = f"as it is, and after {dream.octaves} octaves of {dream.steps} steps at {', '.join(dream.layers)}"
    sheets.sheet(folder / "beside.png", title, [("", sheets.shown(pixels[0])), ("", sheets.shown(found))], 2)


def _gain(network: Network, layers: Sequence[str], size: tuple[int, int]) -> Any:
    model = network.until(layers, size)

    def gain(pixels: Any) -> Any:
        """The mean square of each layer's numbers, away from the edge, summed."""
        _, found = maps(model, pixels, layers)
        return sum(tf.reduce_mean(each[:, 1:-1, 1:-1] ** 2, axis=(1, 2, 3)) for each in found)

    return gain
