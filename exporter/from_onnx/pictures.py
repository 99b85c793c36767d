"""The pictures that answers are compared on."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bundle import preprocess
from bundle.errors import PictureError
from bundle.preprocess import PreprocessSpec
from exporter.errors import ExportError

_GENERATED = 16
_SCALES = (2, 4, 8, 16, 64)  # cells across a picture: from blotches to grain


def decoded(folder: Path, spec: PreprocessSpec, limit: int) -> tuple[NDArray[np.uint8], list[str]]:
    """Up to `limit` pictures of `folder`, by name, as the model sees them [S, H, W, C]; and why others were left out.

    Raises ExportError when not one can be read.
    """
    found: list[NDArray[np.uint8]] = []
    skipped: list[str] = []
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        if len(found) == limit:
            break
        try:
            found.append(preprocess.from_bytes(path.read_bytes(), spec).pixels)
        except (PictureError, OSError) as error:
            skipped.append(f"{path.name}: {error}")
    if not found:
        raise ExportError(
            f"--pictures {folder}: holds no picture that can be read" + "".join(f"; {s}" for s in skipped[:3])
        )
    return np.stack(found), skipped


def generated(spec: PreprocessSpec, limit: int) -> NDArray[np.uint8]:
    """Up to 16 pictures of coloured noise, [S, H, W, C], always the same: blotches with ever finer ones laid over them."""
    random = np.random.default_rng(0)
    noise = sum(_noise(random, scale, spec.shape, min(limit, _GENERATED)) for scale in _SCALES)
    return np.clip(127.5 + 40 * noise, 0, 255).astype(np.uint8)


def _noise(random: np.random.Generator, cells: int, shape: tuple[int, int, int], count: int) -> NDArray[np.float32]:
    """`count` pictures of `cells` x `cells` blotches, each channel by itself: [S, H, W, C], deviation about 1."""
    height, width, channels = shape
    planes = [
        np.asarray(Image.fromarray(plane).resize((width, height)))
        for plane in random.normal(size=(count * channels, cells, cells)).astype(np.float32)
    ]
    return np.moveaxis(np.stack(planes).reshape(count, channels, height, width), 1, -1)
