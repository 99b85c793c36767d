"""Sets that are published as a training and a test part: the test part stays as it is, validation is taken from the other.

They come from files on this machine or, when there are none, through the loaders of Keras, which download them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.data import idx
from training.data.dataset import ArrayPictures, Dataset, Split
from training.errors import DataError, RecipeError

IDX = "train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"


@dataclass(frozen=True)
class Part:
    """N pictures, uint8 [N, h, w] grey or [N, h, w, 3] RGB, and their labels int64 [N]."""

    pictures: NDArray[np.uint8]
    labels: NDArray[np.int64]


def part(source: str, pictures: NDArray[Any], labels: NDArray[Any], shape: tuple[int, ...], classes: int) -> Part:
    """A part from arrays as a file or a loader gives them; raises DataError, naming `source`, when they are not one.

    Each picture must have `shape`, each label be 0 <= label < `classes`.
    """
    labels = labels.reshape(-1)
    fits = pictures.dtype == np.uint8 and pictures.shape == (len(labels), *shape) and labels.dtype.kind in "iu"
    if not fits or not len(labels) or labels.min() < 0 or labels.max() >= classes:
        raise DataError(
            f"{source}: is not N pictures of {'x'.join(map(str, shape))} bytes and N labels 0 to {classes - 1}, but "
            f"{pictures.dtype} {list(pictures.shape)} and {labels.dtype} {list(labels.shape)}"
        )
    return Part(pictures, labels.astype(np.int64))


def from_idx(folder: Path, shape: tuple[int, int], classes: int) -> tuple[Part, Part]:
    """The training and the test part of the four IDX files in `folder`, plain or gzipped; raises DataError."""
    learn_pictures, learn_labels, test_pictures, test_labels = (
        idx.read(idx.find(folder, name), rank) for name, rank in zip(IDX, (3, 1, 3, 1), strict=True)
    )
    return (
        part(f"{folder}/{IDX[0]}", learn_pictures, learn_labels, shape, classes),
        part(f"{folder}/{IDX[2]}", test_pictures, test_labels, shape, classes),
    )


def from_keras(
    name: str, load: Callable[[], Any], shape: tuple[int, ...], classes: int, otherwise: str
) -> tuple[Part, Part]:
    """The parts that a loader of keras.datasets gives; raises DataError, with what to do `otherwise`, when it cannot."""
    try:
        (pictures, labels), (test_pictures, test_labels) = load()
    except Exception as error:  # whatever a download can raise
        raise DataError(
            f"{name} is not here, and the download through Keras failed ({error}). Either {otherwise}, or run again with "
            "a network."
        ) from error
    return part(name, pictures, labels, shape, classes), part(name, test_pictures, test_labels, shape, classes)


def divided(name: str, labels: list[str], parts: tuple[Part, Part], validation: int, seed: int) -> Dataset:
    """The set `name` of a training and a test part, with `validation` pictures of the former, chosen by `seed`, as many
    from every class. Raises RecipeError when nothing is left to train on.
    """
    from sklearn.model_selection import train_test_split

    learn, test = parts
    if validation > len(learn.labels) - len(labels):
        raise RecipeError(f"data.validation leaves nothing to train on: there are {len(learn.labels)} pictures")
    train, held_out = train_test_split(
        np.arange(len(learn.labels)), test_size=validation, stratify=learn.labels, random_state=seed
    )
    return Dataset(
        name=name,
        kind="multiclass",
        labels=labels,
        splits={
            "train": Split(ArrayPictures(learn.pictures[train]), learn.labels[train]),
            "validation": Split(ArrayPictures(learn.pictures[held_out]), learn.labels[held_out]),
            "test": Split(ArrayPictures(test.pictures), test.labels),
        },
    )
