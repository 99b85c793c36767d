"""Fashion-MNIST: 60,000 + 10,000 pictures of clothing, 28x28 grey (Xiao, Rasul, Vollgraf, arXiv:1708.07747)."""

import gzip
from pathlib import Path
from typing import Annotated, ClassVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from bundle import strict
from bundle.manifest import Positive
from training.data.dataset import ArrayPictures, Dataset, Split
from training.errors import DataError, RecipeError

DEBIAN_PACKAGE = "dataset-fashion-mnist"
DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")

Labelled = tuple[NDArray[np.uint8], NDArray[np.int64]]


class Fashion(strict.Document, frozen=True, tag_field="name", tag="fashion"):
    """Recipe keys of Fashion-MNIST; the published test set stays as it is, validation is taken from the 60,000."""

    validation: Positive
    seed: Annotated[int, msgspec.Meta(ge=0)]  # of the division into training and validation

    labels: ClassVar[list[str]] = [
        "t-shirt", "trousers", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot",
    ]  # fmt: skip

    def load(self) -> Dataset:
        """Reads the pictures uint8 of 28x28; raises DataError, with the ways to get them, when they are not to be had."""
        from sklearn.model_selection import train_test_split

        (pictures, labels), (test_pictures, test_labels) = published()
        if self.validation > len(labels) - len(self.labels):
            raise RecipeError(f"data.validation leaves nothing to train on: there are {len(labels)} pictures")
        train, validation = train_test_split(
            np.arange(len(labels)), test_size=self.validation, stratify=labels, random_state=self.seed
        )
        return Dataset(
            name="fashion",
            labels=self.labels,
            splits={
                "train": Split(ArrayPictures(pictures[train]), labels[train]),
                "validation": Split(ArrayPictures(pictures[validation]), labels[validation]),
                "test": Split(ArrayPictures(test_pictures), test_labels),
            },
        )


def published(folder: Path = DEBIAN_FOLDER) -> tuple[Labelled, Labelled]:
    """The published training and test sets: from the Debian package's `folder`, else through Keras; else DataError."""
    if folder.is_dir():
        return _idx_pair(folder, "train"), _idx_pair(folder, "t10k")
    return _from_keras(folder)


def _idx_pair(folder: Path, prefix: str) -> Labelled:
    pictures = _idx(folder / f"{prefix}-images-idx3-ubyte.gz")
    return pictures, _idx(folder / f"{prefix}-labels-idx1-ubyte.gz").astype(np.int64)


def _idx(path: Path) -> NDArray[np.uint8]:
    """An array of bytes in LeCun's IDX format: two zeros, type 8, rank, sizes as big-endian uint32, then the bytes."""
    try:
        content = gzip.decompress(path.read_bytes())
    except (OSError, EOFError) as error:
        raise DataError(f"{path}: cannot be read: {error}; reinstall the Debian package {DEBIAN_PACKAGE}") from error
    sizes = np.frombuffer(content, ">u4", count=content[3], offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * content[3]).reshape(sizes)


def _from_keras(folder: Path) -> tuple[Labelled, Labelled]:
    from keras.datasets import fashion_mnist

    try:
        (pictures, labels), (test_pictures, test_labels) = fashion_mnist.load_data()
    except Exception as error:  # whatever a download can raise
        raise DataError(
            f"Fashion-MNIST is not here: {folder} does not exist and the download through Keras failed ({error}). "
            f"Either install the Debian package (apt-get install {DEBIAN_PACKAGE}) or run again with a network."
        ) from error
    return (pictures, labels.astype(np.int64)), (test_pictures, test_labels.astype(np.int64))
