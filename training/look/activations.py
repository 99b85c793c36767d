"""The maps of a layer for one picture, channel by channel (F. Chollet, Deep Learning with Python, 2nd ed., 9.4.1)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.look import sheets
from training.look.network import Network, maps
from training.progress import bar


def write(folder: Path, network: Network, pixels: NDArray[np.float32], layers: Sequence[str], colours: str) -> None:
    """Writes a sheet for each of `layers`: what each of its channels answers to the picture [1, H, W, C].

    Each channel is painted from its lowest to its highest number; channels that are the same everywhere (a ReLU that
    stays shut) are told in the title.
    """
    sheets.save(folder / "picture.png", pixels[0])
    _, found = maps(network.model, pixels, layers)
    with bar() as progress:
        for path, tensor in progress.track(list(zip(layers, found, strict=True)), description="layers"):
            stack = np.asarray(tensor[0])
            silent = int((np.ptp(stack, axis=(0, 1)) == 0).sum())
            tiles = [(str(index), sheets.coloured(stack[..., index], colours)) for index in range(stack.shape[2])]
            height, width, channels = stack.shape
            title = f"{path}: {channels} channels of {height}x{width}, {silent} of them the same everywhere"
            columns = min(channels, 8 if width > 1.4 * height else 12 if channels <= 96 else 24)
            sheets.sheet(folder / f"{path.replace('/', '-')}.png", title, tiles, columns)
