"""CIFAR-10: 50,000 + 10,000 colour pictures of ten kinds of things, 32x32 (A. Krizhevsky, 2009).

Of the forms that it is published in, the binary one is read here. The Python one is pickled, and unpickling a file runs
whatever it says; Keras does that with the file that it has downloaded and compared with its checksum.
"""

from pathlib import Path
from typing import Annotated, ClassVar

import msgspec
import numpy as np

from bundle import strict
from bundle.manifest import Kind, Positive
from training.data import published
from training.data.dataset import Dataset
from training.data.published import Part
from training.errors import DataError

BINARY, PICKLED = "cifar-10-batches-bin", "cifar-10-batches-py"
BATCHES, TEST = tuple(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"
SHAPE, CLASSES = (32, 32, 3), 10
_RECORD = 1 + 3 * 32 * 32  # a label, then the red, the green and the blue plane


class Cifar10(strict.Document, frozen=True, tag_field="name", tag="cifar10"):
    """Recipe keys of CIFAR-10; the published test set stays as it is, validation is taken from the 50,000."""

    folder: str  # holds the folder cifar-10-batches-bin; otherwise the set comes through Keras
    validation: Positive
    seed: Annotated[int, msgspec.Meta(ge=0)]  # of the division into training and validation

    kind: ClassVar[Kind] = "multiclass"
    labels: ClassVar[list[str]] = [
        "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
    ]  # fmt: skip

    def load(self) -> Dataset:
        """Reads the pictures uint8 of 32x32x3; raises DataError, with the ways to get them, when they are not to be had."""
        return published.divided("cifar10", self.labels, parts(Path(self.folder)), self.validation, self.seed)


def parts(folder: Path) -> tuple[Part, Part]:
    """The published training and test parts: from `folder`, else through Keras; raises DataError."""
    binary = folder / BINARY
    otherwise = f"unpack cifar-10-binary.tar.gz in the folder {folder}, which makes {binary}"
    if binary.is_dir():
        return _batches(binary, BATCHES), _batches(binary, (TEST,))
    if (folder / PICKLED).is_dir():
        raise DataError(f"{folder / PICKLED}: is pickled, and nothing is unpickled here; {otherwise}")
    from keras.datasets import cifar10

    return published.from_keras("CIFAR-10", cifar10.load_data, SHAPE, CLASSES, otherwise)


def _batches(folder: Path, names: tuple[str, ...]) -> Part:
    records = np.concatenate([_records(folder / name) for name in names])
    pictures = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return published.part(str(folder), np.ascontiguousarray(pictures), records[:, 0], SHAPE, CLASSES)


def _records(path: Path) -> np.ndarray:
    """The records of a batch: uint8 [N, 3073]."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}; unpack the archive again") from error
    if len(content) % _RECORD:
        raise DataError(f"{path}: {len(content):,} bytes are no whole number of pictures; unpack the archive again")
    return np.frombuffer(content, np.uint8).reshape(-1, _RECORD)
