"""samples.npz: real pictures that a bundle keeps, so that other forms of the model can be made and measured later.

An 8-bit form is calibrated on pictures, and how far it is from the trained model shows on others. Both have to be pictures of the
kind that the model will see; made-up ones have other activations. Nobody may expect the data set to be at hand
where the bundle is.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bundle import arrays
from bundle.errors import BundleError
from bundle.manifest import SAMPLES, Manifest

UNKNOWN = -1  # in place of a label

# At most this much is kept, for bundles are copied about and checked byte by byte whenever they are loaded.
MAX_PICTURES = 512
MAX_BYTES = 16 * 2**20


@dataclass(frozen=True)
class Samples:
    """Pictures as the model sees them."""

    pixels: NDArray[np.uint8]  # [S, H, W, C]
    labels: NDArray[np.int64]  # [S], 0 <= label < K or UNKNOWN

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, members: slice | NDArray[np.bool_] | NDArray[np.intp]) -> "Samples":
        return Samples(self.pixels[members], self.labels[members])


def spread(samples: Samples, most: int) -> Samples:
    """At most `most` of `samples`, taken evenly from the whole of them, in their order."""
    return samples[evenly(len(samples), most)]


def evenly(total: int, most: int) -> NDArray[np.intp]:
    """At most `most` positions below `total`, ascending and evenly apart."""
    count = min(most, total)
    return np.arange(count) * total // max(count, 1)


def write(folder: Path, samples: Samples) -> None:
    """Writes as many of `samples` as a bundle may keep into the bundle in `folder`."""
    each = int(np.prod(samples.pixels.shape[1:]))
    kept = spread(samples, min(MAX_PICTURES, MAX_BYTES // each))
    np.savez_compressed(folder / SAMPLES, pixels=kept.pixels, labels=kept.labels)


def read(path: Path, manifest: Manifest) -> Samples:
    """Reads pictures for the model of `manifest` from an .npz file with `pixels` and `labels`.

    Raises BundleError when the file is none, or its arrays are not such pictures and labels.
    """
    stored: dict[str, Any] = arrays.read(path, ("pixels", "labels"))
    pixels, labels = stored["pixels"], stored["labels"]
    if pixels.dtype != np.uint8 or pixels.shape[1:] != manifest.input_shape:
        raise BundleError(
            f"{path}: pixels is {pixels.dtype} {list(pixels.shape)}, the manifest's pictures are uint8 "
            f"{[-1, *manifest.input_shape]}"
        )
    if labels.dtype.kind not in "iu" or labels.shape != pixels.shape[:1]:
        raise BundleError(
            f"{path}: labels is {labels.dtype} {list(labels.shape)}, not one integer for each of {len(pixels)} pictures"
        )
    known = len(manifest.labels)
    if len(labels) and not UNKNOWN <= labels.min() <= labels.max() < known:
        raise BundleError(f"{path}: labels must be class numbers 0 to {known - 1}, or {UNKNOWN} where it is not known")
    return Samples(pixels, labels.astype(np.int64))
