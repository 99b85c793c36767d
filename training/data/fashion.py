"""Fashion-MNIST: 60,000 + 10,000 pictures of clothing, 28x28 grey (Xiao, Rasul, Vollgraf, arXiv:1708.07747)."""

from pathlib import Path
from typing import Annotated, ClassVar

import msgspec

from bundle import strict
from bundle.manifest import Kind, Positive
from training.data import published
from training.data.dataset import Dataset
from training.data.published import Part

DEBIAN_PACKAGE = "dataset-fashion-mnist"
DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
SHAPE, CLASSES = (28, 28), 10


class Fashion(strict.Document, frozen=True, tag_field="name", tag="fashion"):
    """Recipe keys of Fashion-MNIST; the published test set stays as it is, validation is taken from the 60,000."""

    validation: Positive
    seed: Annotated[int, msgspec.Meta(ge=0)]  # of the division into training and validation

    kind: ClassVar[Kind] = "multiclass"
    labels: ClassVar[list[str]] = [
        "t-shirt", "trousers", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot",
    ]  # fmt: skip

    def load(self) -> Dataset:
        """Reads the pictures uint8 of 28x28; raises DataError, with the ways to get them, when they are not to be had."""
        return published.divided("fashion", self.labels, parts(), self.validation, self.seed)


def parts(folder: Path = DEBIAN_FOLDER) -> tuple[Part, Part]:
    """The published training and test parts: from the Debian package's `folder`, else through Keras; else DataError."""
    if folder.is_dir():
        return published.from_idx(folder, SHAPE, CLASSES)
    from keras.datasets import fashion_mnist

    otherwise = f"install the Debian package (apt-get install {DEBIAN_PACKAGE}), which makes {folder}"
    return published.from_keras("Fashion-MNIST", fashion_mnist.load_data, SHAPE, CLASSES, otherwise)
