"""Pictures with heatmaps laid over them, small PNG images inside a page."""

import base64
import io
import math

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bundle.preprocess import Box

_SIDE = 160  # the least length of the longer side
_STRONGEST = 0.75  # opacity where the evidence is strongest


def plain(pixels: NDArray[np.uint8]) -> str:
    """The picture [H, W, C], as a data: address."""
    return _address(_canvas(pixels))


def overlaid(pixels: NDArray[np.uint8], heatmap: NDArray[np.float32], extent: Box) -> str:
    """The picture [H, W, C] under a `heatmap` [h, w], 0..1, whose cells stand for `extent` of it, as a data: address."""
    picture = _canvas(pixels)
    left, top, right, bottom = (picture.width / pixels.shape[1] * edge for edge in extent)
    down = _spread(heatmap.shape[0], top, bottom, picture.height)
    across = _spread(heatmap.shape[1], left, right, picture.width)
    evidence = (down @ heatmap @ across.T).clip(0, 1)
    colours = mpl.colormaps["viridis"](evidence)[..., :3] * 255
    opacity = (_STRONGEST * evidence)[..., None]
    mixed = np.asarray(picture) * (1 - opacity) + colours * opacity
    return _address(Image.fromarray(mixed.round().astype(np.uint8)))


def _spread(cells: int, start: float, end: float, size: int) -> NDArray[np.float64]:
    """Weights [size, cells] of the cells between `start` and `end` along one side of a picture.

    Linear between the centres of cells. Outside, where the outermost cells look too, their evidence fades to nothing at the edge.
    """
    positions = np.arange(size) + 0.5
    centres = start + (np.arange(cells) + 0.5) * (end - start) / cells
    weights = np.stack([np.interp(positions, centres, cell) for cell in np.eye(cells)], axis=1)
    before, after = positions / max(start, 0.5), (size - positions) / max(size - end, 0.5)
    fade = np.sin(np.pi / 2 * np.minimum(before, after).clip(0, 1)) ** 2
    weights *= fade[:, None]
    return weights


def _canvas(pixels: NDArray[np.uint8]) -> Image.Image:
    """RGB, small pictures enlarged by a whole factor, so that their pixels stay visible."""
    picture = Image.fromarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels).convert("RGB")
    factor = math.ceil(_SIDE / max(picture.size))
    return picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)


def _address(picture: Image.Image) -> str:
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
