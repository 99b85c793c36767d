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
from bundle.manifest import GOLDEN, Manifest, Tensor, TensorManifest


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
        _check(path, getattr(golden, tensor.name), tensor)
    if golden.methods.dtype != np.int64 or golden.methods.shape != golden.targets.shape:
        raise BundleError(
            f"{path}: methods is {golden.methods.dtype} {list(golden.methods.shape)}, not int64 and of the shape of targets"
        )
    _check_any(path, golden.pixels)
    return golden


@dataclass(frozen=True)
class TensorGolden:
    """Inputs and outputs of a model that takes no images, G rows in each array, by name."""

    inputs: dict[str, NDArray[np.generic]]
    outputs: dict[str, NDArray[np.generic]]


# Input and output may have the same name, hence the prefixes.
_INPUT, _OUTPUT = "input ", "output "


def write_tensors(folder: Path, golden: TensorGolden) -> None:
    """Writes `golden` into the bundle in `folder`."""
    inputs = {_INPUT + name: array for name, array in golden.inputs.items()}
    outputs = {_OUTPUT + name: array for name, array in golden.outputs.items()}
    np.savez_compressed(folder / GOLDEN, allow_pickle=False, **inputs, **outputs)


def read_tensors(folder: Path, manifest: TensorManifest) -> TensorGolden:
    """Reads the golden rows of a model without images; raises BundleError like `read`."""
    path = folder / GOLDEN
    sides = ((_INPUT, manifest.inputs), (_OUTPUT, manifest.outputs))
    stored = arrays.read(path, [prefix + tensor.name for prefix, tensors in sides for tensor in tensors])
    for prefix, tensors in sides:
        for tensor in tensors:
            _check(path, stored[prefix + tensor.name], tensor)
    if len({len(array) for array in stored.values()}) > 1:
        raise BundleError(f"{path}: the arrays have different numbers of rows")
    _check_any(path, next(iter(stored.values())))
    inputs, outputs = ({tensor.name: stored[prefix + tensor.name] for tensor in tensors} for prefix, tensors in sides)
    return TensorGolden(inputs, outputs)


def _check(path: Path, array: NDArray[np.generic], tensor: Tensor) -> None:
    if array.dtype != tensor.dtype or not tensor.fits(array.shape):
        raise BundleError(
            f"{path}: {tensor.name} is {array.dtype} {list(array.shape)}, the manifest says {tensor.dtype} {tensor.shape}"
        )


def _check_any(path: Path, rows: NDArray[np.generic]) -> None:
    if not len(rows):
        raise BundleError(f"{path}: holds no samples, without which a wrong model would go unnoticed")


def difference(
    golden: Golden, probabilities: NDArray[np.float32], heatmaps: NDArray[np.float32]
) -> tuple[float, float]:
    """Largest absolute differences (probabilities, heatmaps) of what an engine answered; NaN counts as infinite."""
    return _largest(probabilities - golden.probabilities), _largest(heatmaps - golden.heatmaps)


def relative_difference(expected: NDArray[np.generic], found: NDArray[np.generic]) -> float:
    """Largest absolute difference in parts of the largest magnitude of `expected`; NaN in one alone counts as infinite."""
    want, have = expected.astype(np.float64), found.astype(np.float64)
    scale = float(np.abs(want[np.isfinite(want)]).max(initial=0.0)) or 1.0
    same = (want == have) | (np.isnan(want) & np.isnan(have))
    with np.errstate(invalid="ignore"):
        delta = np.where(same, 0.0, np.abs(have - want))
    return float(np.nan_to_num(delta, nan=np.inf).max(initial=0.0)) / scale


def _largest(delta: NDArray[np.float32]) -> float:
    return float(np.nan_to_num(np.abs(delta), nan=np.inf).max(initial=0.0))
