"""golden.npz: a few pictures and the outputs that the trained model gave for them.

The server runs them through the engine it has just built, on the machine and with the library versions that will serve,
and refuses the bundle when the answers differ: a wrong model must not come into service quietly.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bundle import arrays
from bundle.errors import BundleError
from bundle.manifest import GOLDEN, Manifest


@dataclass(frozen=True)
class Golden:
    """Inputs and the trained model's outputs for G pictures with M targets each."""

    pixels: NDArray[np.uint8]  # [G, H, W, C]
    targets: NDArray[np.int64]  # [G, M]; -1-r means the class ranked r-th
    methods: NDArray[np.int64]  # [G, M]; index into the manifest's explanations
    probabilities: NDArray[np.float32]  # [G, K]
    heatmaps: NDArray[np.float32]  # [G, M, h, w], 0..1


def write(folder: Path, golden: Golden) -> None:
    """Writes `golden` into the bundle in `folder`."""
    np.savez_compressed(folder / GOLDEN, **asdict(golden))


def read(folder: Path, manifest: Manifest) -> Golden:
    """Reads the golden samples; raises BundleError when an array is missing or not of the manifest's shape and type."""
    path = folder / GOLDEN
    stored: dict[str, Any] = arrays.read(path, Golden.__dataclass_fields__)
    golden = Golden(**stored)
    for tensor in [*manifest.inputs, *manifest.outputs]:
        array = getattr(golden, tensor.name)
        fits = len(array.shape) == len(tensor.shape) and all(
            want in (-1, size) for want, size in zip(tensor.shape, array.shape, strict=True)
        )
        if array.dtype != tensor.dtype or not fits:
            raise BundleError(
                f"{path}: {tensor.name} is {array.dtype} {list(array.shape)}, the manifest says {tensor.dtype} {tensor.shape}"
            )
    if golden.methods.dtype != np.int64 or golden.methods.shape != golden.targets.shape:
        raise BundleError(
            f"{path}: methods is {golden.methods.dtype} {list(golden.methods.shape)}, not int64 and of the shape of targets"
        )
    if not len(golden.pixels):
        raise BundleError(f"{path}: holds no samples, without which a wrong model would go unnoticed")
    return golden


def difference(
    golden: Golden, probabilities: NDArray[np.float32], heatmaps: NDArray[np.float32]
) -> tuple[float, float]:
    """Largest absolute differences (probabilities, heatmaps) of what an engine answered; NaN counts as infinite."""
    return _largest(probabilities - golden.probabilities), _largest(heatmaps - golden.heatmaps)


def _largest(delta: NDArray[np.float32]) -> float:
    return float(np.nan_to_num(np.abs(delta), nan=np.inf).max(initial=0.0))
