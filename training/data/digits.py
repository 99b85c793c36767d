"""Handwritten digits that ship with scikit-learn: 1,797 scans of 8x8 (UCI ML, E. Alpaydin and C. Kaynak, 1998)."""

from typing import Annotated, ClassVar

import msgspec
import numpy as np

from bundle import strict
from bundle.manifest import Kind, Positive
from training.data.dataset import ArrayPictures, Dataset, Split, SplitName
from training.errors import RecipeError

BRIGHTEST = 16  # the scans count the inked pixels of 4x4 blocks


class Digits(strict.Document, frozen=True, tag_field="name", tag="digits"):
    """Recipe keys of the digits; what is in neither validation nor test is trained on."""

    validation: Positive
    test: Positive
    seed: Annotated[int, msgspec.Meta(ge=0)]  # of the division into splits

    kind: ClassVar[Kind] = "multiclass"
    labels: ClassVar[list[str]] = [str(digit) for digit in range(10)]

    def load(self) -> Dataset:
        """Reads the scans as grey pictures uint8 of 8x8 (0..255) and divides them with equal shares of every digit."""
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split

        scans, digits = load_digits(return_X_y=True)
        pictures = np.round(scans.reshape(-1, 8, 8) * (255 / BRIGHTEST)).astype(np.uint8)
        if self.validation + self.test > len(digits) - len(self.labels):
            raise RecipeError(f"data.validation + data.test leave nothing to train on: there are {len(digits)} digits")
        rest, test = train_test_split(
            np.arange(len(digits)), test_size=self.test, stratify=digits, random_state=self.seed
        )
        train, validation = train_test_split(
            rest, test_size=self.validation, stratify=digits[rest], random_state=self.seed
        )
        parts: dict[SplitName, np.ndarray] = {"train": train, "validation": validation, "test": test}
        return Dataset(
            name="digits",
            kind=self.kind,
            labels=self.labels,
            splits={
                name: Split(ArrayPictures(pictures[members]), digits[members].astype(np.int64))
                for name, members in parts.items()
            },
        )
