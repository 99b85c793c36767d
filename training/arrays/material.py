"""What a network learns from that takes an array and gives an array: examples in three splits."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.data.dataset import SplitName
from training.errors import RecipeError

Examples = tuple[NDArray[Any], NDArray[Any]]  # inputs [N, ...] and what should come out [N, ...]
Splits = Mapping[SplitName, Examples]


@dataclass(frozen=True)
class Labelled:
    """Rows with a class each."""

    name: str
    labels: list[str]  # K names
    splits: Splits  # targets int64 [N], 0 <= label < K


def divided(inputs: NDArray[Any], labels: NDArray[np.int64], validation: int, test: int, seed: int) -> Splits:
    """Rows in splits with equal shares of every class, so many in `validation` and `test`. Raises RecipeError."""
    from sklearn.model_selection import train_test_split

    classes = len(np.unique(labels))
    if not classes <= min(validation, test) or validation + test > len(labels) - classes:
        raise RecipeError(
            f"data.validation = {validation} and data.test = {test} leave a split without a row of each of {classes} classes: "
            f"there are {len(labels)} rows"
        )
    everyone = np.arange(len(labels))
    rest, tested = train_test_split(everyone, test_size=test, stratify=labels, random_state=seed)
    train, validated = train_test_split(rest, test_size=validation, stratify=labels[rest], random_state=seed)
    parts: dict[SplitName, NDArray[np.int64]] = {"train": train, "validation": validated, "test": tested}
    return {name: (inputs[members], labels[members]) for name, members in parts.items()}


def fingerprint(splits: Splits) -> str:
    """SHA-256, hexadecimal, over the inputs and targets of each split in order."""
    digest = hashlib.sha256()
    for inputs, targets in splits.values():
        digest.update(np.ascontiguousarray(inputs).tobytes())
        digest.update(np.ascontiguousarray(targets).tobytes())
    return digest.hexdigest()
