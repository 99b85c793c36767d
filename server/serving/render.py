"""Heatmaps as pictures: a map in the viridis colours, or that map laid over the picture it explains.

The overlay is as opaque as the evidence is strong, so that what the model ignored keeps its own colours.
"""

import io
import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bundle.preprocess import View
from server.serving.jobs import Grid, HeatmapFormat

# The longer side of a rendered picture, in pixels: small enough to send, large enough to see.
MAX_SIDE = 1024
MIN_SIDE = 224
_STRONGEST = 0.75  # opacity of the overlay where the evidence is strongest

# Viridis (van der Walt and Smith, 2015; CC0): every 15th of its 256 colours; in between, linear is within 5 of 255.
_VIRIDIS = [
    "440154",
    "481769",
    "472a7a",
    "433d84",
    "3d4e8a",
    "355e8d",
    "2e6d8e",
    "297b8e",
    "23898e",
    "1f978b",
    "21a585",
    "2eb37c",
    "46c06f",
    "65cb5e",
    "89d548",
    "b0dd2f",
    "d8e219",
    "fde725",
]


def _colour_table() -> NDArray[np.uint8]:
    """The colour map as RGB, uint8 [256, 3]."""
    points = np.array([[int(colour[i : i + 2], 16) for i in (0, 2, 4)] for colour in _VIRIDIS], np.float64)
    at = np.linspace(0, 255, len(points))
    return np.stack([np.interp(np.arange(256), at, points[:, c]) for c in range(3)], axis=1).round().astype(np.uint8)


_COLOURS = _colour_table()


def canvas(picture: Image.Image) -> Image.Image:
    """The RGB picture at the size to draw on: small ones enlarged by a whole factor, so that their pixels stay visible."""
    factor = math.ceil(MIN_SIDE / max(picture.size))
    rgb = picture.convert("RGB")
    return rgb if factor <= 1 else rgb.resize((rgb.width * factor, rgb.height * factor), Image.Resampling.NEAREST)


def png(grid: Grid, view: View, picture: Image.Image, form: HeatmapFormat) -> bytes:
    """Draws a heatmap for the whole of `picture` (a canvas), of which the model saw `view`."""
    heat = spread(grid, view, picture.size)
    colours = _COLOURS[(heat * 255).round().astype(np.uint8)]
    if form is HeatmapFormat.OVERLAY_PNG:
        opacity = (_STRONGEST * heat)[..., None]
        colours = (np.asarray(picture) * (1 - opacity) + colours * opacity).round().astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(colours).save(file, "PNG", compress_level=3)
    return file.getvalue()


def spread(grid: Grid, view: View, size: tuple[int, int]) -> NDArray[np.float32]:
    """The heatmap at its place in the picture, float32 [height, width] for `size` (width, height), 0..1.

    Cubic between the centres of the cells. From where the grid ends the evidence of the outermost cells, which see what
    lies there too, fades to nothing at the edge of what the model saw.
    """
    width, height = size
    left, top, right, bottom = grid.box
    x = (np.arange(width) + 0.5) * view.picture[0] / width
    y = (np.arange(height) + 0.5) * view.picture[1] / height
    rows, columns = grid.values.shape
    down = _interpolation((y - top) / (bottom - top) * rows - 0.5, rows)
    across = _interpolation((x - left) / (right - left) * columns - 0.5, columns)
    across *= _fade(x, (left, right), (view.box[0], view.box[2]))[:, None]
    down *= _fade(y, (top, bottom), (view.box[1], view.box[3]))[:, None]
    return (down @ grid.values @ across.T).clip(0, 1)


def _interpolation(positions: NDArray[np.float64], cells: int) -> NDArray[np.float32]:
    """Cubic convolution (Keys, 1981) as a matrix: weights [len(positions), cells], each row summing to 1.

    `positions` are in cells, 0 at the centre of the first; beyond the first and the last cell their values go on.
    """
    distance = np.abs(positions.clip(0, cells - 1)[:, None] - np.arange(-1, cells + 1))
    near = (1.5 * distance - 2.5) * distance**2 + 1
    far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    weights = np.where(distance < 1, near, np.where(distance < 2, far, 0)).astype(np.float32)
    inner = weights[:, 1:-1].copy()
    inner[:, 0] += weights[:, 0]
    inner[:, -1] += weights[:, -1]
    return inner


def _fade(positions: NDArray[np.float64], grid: tuple[float, float], seen: tuple[float, float]) -> NDArray[np.float32]:
    """1 inside the grid, from its end down to 0 at the end of what was seen, and 0 beyond; half a cosine."""
    outside = np.maximum(grid[0] - positions, positions - grid[1])
    margin = np.where(positions < grid[0], grid[0] - seen[0], seen[1] - grid[1])
    share = np.divide(outside, margin, out=(outside > 0).astype(np.float64), where=margin > 0)
    hidden = (positions < seen[0]) | (positions >= seen[1])
    return np.where(hidden, 0, np.cos(np.pi / 2 * share.clip(0, 1)) ** 2).astype(np.float32)
