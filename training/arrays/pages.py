"""pictures.png: what a network of pictures was shown, what it gave, and what it should have given."""

from pathlib import Path

import keras
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from training.arrays.material import Examples
from training.style import DPI

COLUMNS = 6
_TILE = 2.2  # inches across


def pictures(path: Path, model: keras.Model, examples: Examples, *, noisy: bool) -> None:
    """COLUMNS of `examples`, evenly from all of them, in rows; the row of the truth only where it is not what was shown."""
    shown, truth = (array[np.linspace(0, len(array) - 1, COLUMNS).astype(int)] for array in examples)
    given = as_pixels(model.predict(shown, verbose=0))
    rows = [("shown", shown, noisy), ("given", given, True), *([("truth", truth, False)] if noisy else [])]
    height, width = shown.shape[1:3]
    figure = Figure(figsize=(COLUMNS * _TILE, len(rows) * (_TILE * height / width + 0.25)), layout="constrained")
    grid = figure.subplots(len(rows), COLUMNS, squeeze=False)
    for line, (name, row, compared) in zip(grid, rows, strict=True):
        for axes, picture, right in zip(line, row, truth, strict=True):
            axes.imshow(picture.squeeze(-1) if picture.shape[-1] == 1 else picture, cmap="gray", vmin=0, vmax=255)
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
            if compared:
                axes.set_xlabel(f"off by {_error(picture, right):.1f} of 255", fontsize=8)
        line[0].set_ylabel(name, fontsize=11)
    figure.savefig(path, dpi=DPI)


def as_pixels(picture: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Levels 0..255 as float32, rounded to uint8."""
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def _error(picture: NDArray[np.uint8], truth: NDArray[np.uint8]) -> float:
    """Mean absolute difference, in levels."""
    return float(np.abs(picture.astype(np.float32) - truth).mean())
