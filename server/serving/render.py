"""Heatmaps as pictures: a map in the viridis colours, or that map laid over the picture it explains.

The overlay is as opaque as the evidence is strong, so that what the model ignored keeps its own colours.
"""

import io
import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bundle.preprocess import View
from server.serving.jobs import HeatmapFormat

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


def png(heatmap: NDArray[np.float32], view: View, picture: Image.Image, form: HeatmapFormat) -> bytes:
    """Draws `heatmap` [h, w], 0..1, for the whole of `picture` (a canvas), of which the model saw `view`."""
    heat = _spread(heatmap, view, picture.size)
    colours = _COLOURS[(heat * 255).round().astype(np.uint8)]
    if form is HeatmapFormat.OVERLAY_PNG:
        opacity = (_STRONGEST * heat)[..., None]
        colours = (np.asarray(picture) * (1 - opacity) + colours * opacity).round().astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(colours).save(file, "PNG", compress_level=3)
    return file.getvalue()


def _spread(heatmap: NDArray[np.float32], view: View, size: tuple[int, int]) -> NDArray[np.float32]:
    """The heatmap at the place in the picture that the model saw, float32 [height, width] for `size` (width, height)."""
    rows, columns = heatmap.shape
    across = _overlap(view.picture[0], view.box[0], view.box[2], columns, size[0])
    down = _overlap(view.picture[1], view.box[1], view.box[3], rows, size[1])
    part = (across[0], down[0], across[1], down[1])
    where = slice(down[2], down[3]), slice(across[2], across[3])
    spread = np.zeros((size[1], size[0]), np.float32)
    target = across[3] - across[2], down[3] - down[2]
    spread[where] = np.asarray(Image.fromarray(heatmap).resize(target, Image.Resampling.BICUBIC, box=part))
    return spread.clip(0, 1)


def _overlap(picture: int, low: float, high: float, cells: int, pixels: int) -> tuple[float, float, int, int]:
    """Along one axis, where picture and view overlap: first and last cell coordinate, first and last drawn pixel."""
    first, last = max(0.0, low), min(float(picture), high)
    cell, pixel = cells / (high - low), pixels / picture
    start = min(round(first * pixel), pixels - 1)
    return (
        max(0.0, (first - low) * cell),
        min(float(cells), (last - low) * cell),
        start,
        max(start + 1, round(last * pixel)),
    )
