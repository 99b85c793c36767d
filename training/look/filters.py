"""Pictures that a filter answers to most, by gradient ascent from grey noise.

Bare ascent finds noise of high frequency that no picture has. The usual remedies (J. Yosinski et al., arXiv:1506.06579):
the picture is moved a little before each step, faded towards grey, and blurred now and then.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from training.look import sheets
from training.look.ascent import climber
from training.look.network import Network, Size, maps
from training.progress import bar

BLUR_EVERY = 4  # steps


@dataclass(frozen=True)
class Ascent:
    """How the pictures are found."""

    size: Size
    steps: int
    step: float  # root mean square of a step, in grey levels
    fade: float  # share of the distance from grey that is lost at each step
    blur: float  # deviation of the Gaussian, in pixels; 0 is none
    seed: int


def write(folder: Path, network: Network, layers: Sequence[str], count: int, ascent: Ascent) -> None:
    """Writes a sheet for each of `layers`: a picture for each of its first `count` filters."""
    with bar() as progress:
        task = progress.add_task("steps", total=len(layers) * ascent.steps)
        for path in layers:
            model = network.until([path], ascent.size, bare=True)
            filters = min(count, network.places()[path][2])
            found = _climbed(model, path, filters, network.channels, ascent, lambda: progress.advance(task))
            tiles = [(str(index), sheets.shown(_spread(each))) for index, each in enumerate(found)]
            title = f"{path}: what filters 0 to {filters - 1} answer to most"
            sheets.sheet(folder / f"{path.replace('/', '-')}.png", title, tiles, min(8, filters))


def _climbed(
    model: keras.Model, path: str, filters: int, channels: int, ascent: Ascent, advance: Any
) -> NDArray[np.float32]:
    """A picture for each of the first `filters` of the layer `path`: [filters, H, W, channels], 0..255."""

    def gain(pixels: Any) -> Any:
        _, (found,) = maps(model, pixels, [path])
        mine = tf.transpose(found[..., :filters], (3, 0, 1, 2))  # [filter, picture, h, w]
        edge = 1 if min(mine.shape[2:]) > 8 else 0  # where it sees zeros beyond the picture
        inner = mine[:, :, edge : mine.shape[2] - edge, edge : mine.shape[3] - edge]
        return tf.linalg.diag_part(tf.reduce_mean(inner, axis=(2, 3)))

    dice, climb = np.random.default_rng(ascent.seed), climber(gain)
    pixels: NDArray[np.float32] = dice.normal(128, 8, (filters, *ascent.size, channels)).astype(np.float32)
    for number in range(1, ascent.steps + 1):
        shift = tf.constant(dice.integers(-4, 5, 2), tf.int32)
        pixels = climb(tf.constant(pixels), tf.constant(ascent.step), shift).numpy()
        pixels = 128 + (pixels - 128) * np.float32(1 - ascent.fade)
        if ascent.blur and number % BLUR_EVERY == 0 and number < ascent.steps:
            pixels = gaussian_filter(pixels, (0, ascent.blur, ascent.blur, 0))
        advance()
    return np.asarray(pixels, np.float32)


def _spread(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """The picture around mid-grey with a deviation of 48, so that weak patterns are seen too."""
    spread: NDArray[np.float32] = (pixels - pixels.mean()) / (pixels.std() + 1e-6) * np.float32(48) + 128
    return spread
