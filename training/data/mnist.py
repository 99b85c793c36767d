"""MNIST: 60,000 + 10,000 handwritten digits, 28x28 grey (Y. LeCun, C. Cortes, C. Burges, 1998)."""

from pathlib import Path
from typing import Annotated, ClassVar

import msgspec

from bundle import arrays, strict
from bundle.errors import BundleError
from bundle.manifest import Kind, Positive
from training.data import idx, published
from training.data.dataset import Dataset
from training.data.published import IDX, Part
from training.errors import DataError

NPZ = "mnist.npz"  # as Keras publishes it
SHAPE, CLASSES = (28, 28), 10


class Mnist(strict.Document, frozen=True, tag_field="name", tag="mnist"):
    """Recipe keys of MNIST; the published test set stays as it is, validation is taken from the 60,000."""

    folder: str  # holds mnist.npz or the four IDX files; otherwise the set comes through Keras
    validation: Positive
    seed: Annotated[int, msgspec.Meta(ge=0)]  # of the division into training and validation

    kind: ClassVar[Kind] = "multiclass"
    labels: ClassVar[list[str]] = [str(digit) for digit in range(CLASSES)]

    def load(self) -> Dataset:
        """Reads the pictures uint8 of 28x28; raises DataError, with the ways to get them, when they are not to be had."""
        return published.divided("mnist", self.labels, parts(Path(self.folder)), self.validation, self.seed)


def parts(folder: Path) -> tuple[Part, Part]:
    """The published training and test parts: from `folder`, else through Keras; raises DataError."""
    if (folder / NPZ).is_file():
        return _from_npz(folder / NPZ)
    if any(idx.find(folder, name).is_file() for name in IDX):
        return published.from_idx(folder, SHAPE, CLASSES)
    from keras.datasets import mnist

    otherwise = f"put {NPZ}, or {', '.join(IDX)} (as they are or gzipped), into the folder {folder}"
    return published.from_keras("MNIST", mnist.load_data, SHAPE, CLASSES, otherwise)


def _from_npz(path: Path) -> tuple[Part, Part]:
    try:
        stored = arrays.read(path, ("x_train", "y_train", "x_test", "y_test"))
    except BundleError as error:
        raise DataError(str(error)) from error
    learn, test = (
        published.part(str(path), stored[f"x_{name}"], stored[f"y_{name}"], SHAPE, CLASSES)
        for name in ("train", "test")
    )
    return learn, test
