"""Numbers as pictures, and pictures side by side."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from training.look.extent import Extent
from training.style import DPI

WIDTH = 12.0  # inches


def sheet(path: Path, title: str, tiles: Sequence[tuple[str, NDArray[np.uint8]]], columns: int) -> None:
    """Writes captioned pictures [H, W, 3] in rows of `columns`, under a title."""
    height, width, _ = tiles[0][1].shape
    rows = -(-len(tiles) // columns)
    captioned = any(caption for caption, _ in tiles)
    tall = WIDTH / columns * height / width + (0.28 if captioned else 0.06)  # inches
    figure = Figure(figsize=(WIDTH, 0.5 + rows * tall), layout="constrained")
    figure.suptitle(title, fontsize=11)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid:
        axes.set_axis_off()
    for axes, (caption, pixels) in zip(grid, tiles, strict=False):
        axes.imshow(pixels, interpolation="nearest")
        axes.set_title(caption, fontsize=8, pad=3)
    figure.savefig(path, dpi=DPI)


def save(path: Path, pixels: NDArray[np.float32]) -> None:
    """Writes one picture [H, W, C], 0..255, as a file of its own size."""
    Image.fromarray(shown(pixels)).save(path)


def shown(pixels: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A picture [H, W, C], 0..255, C = 1 or 3, as uint8 [H, W, 3]."""
    clipped = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
    return np.repeat(clipped, 3, axis=2) if clipped.shape[2] == 1 else clipped


def coloured(values: NDArray[np.float32], colours: str) -> NDArray[np.uint8]:
    """Numbers [h, w] as uint8 [h, w, 3] in a colour map of matplotlib, from the lowest to the highest of them."""
    span = float(np.ptp(values))
    shares = (values - values.min()) / span if span else np.zeros_like(values)
    painted: NDArray[np.uint8] = mpl.colormaps[colours](shares, bytes=True)[..., :3]
    return painted


def overlaid(
    pixels: NDArray[np.float32], heatmap: NDArray[np.float32], colours: str, place: tuple[Extent, Extent]
) -> NDArray[np.uint8]:
    """A picture [H, W, C] under a heatmap [h, w], 0..1, at its `place`, the more opaque the stronger: uint8 [H, W, 3]."""
    height, width, _ = pixels.shape
    down = _spread(heatmap.shape[0], place[0], height)
    across = _spread(heatmap.shape[1], place[1], width)
    evidence = (down @ heatmap @ across.T).clip(0, 1)
    opacity = 0.75 * evidence[..., None]
    paint = mpl.colormaps[colours](evidence)[..., :3] * 255
    return shown(shown(pixels) * (1 - opacity) + paint * opacity)


def _spread(cells: int, place: Extent, size: int) -> NDArray[np.float64]:
    """Weights [size, cells] of the cells at each pixel of one side: linear between their middles.

    Beyond its place the outermost cell fades to nothing at the edge of the picture.
    """
    start, end = place
    middles = start + (np.arange(cells) + 0.5) * (end - start) / cells
    positions = (np.arange(size) + 0.5) / size
    weights = np.stack([np.interp(positions, middles, cell) for cell in np.eye(cells)], axis=1)
    pixel = 0.5 / size
    inside = np.minimum(positions / max(start, pixel), (1 - positions) / max(1 - end, pixel)).clip(0, 1)
    faded: NDArray[np.float64] = weights * np.sin(np.pi / 2 * inside)[:, None] ** 2
    return faded
