"""What every data set looks like to the rest of training: three splits of pictures with their labels.

Pictures are handed out one at a time and undecided in size, so that a set can be drawn, decoded or read lazily; only
`bundle.preprocess` turns them into pixels.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bundle import preprocess
from bundle.manifest import Kind
from bundle.preprocess import PreprocessSpec
from training.errors import DataError

Box = tuple[int, int, int, int]  # left, top, right, bottom in picture pixels; right and bottom are just outside
SplitName = Literal["train", "validation", "test"]


class Pictures(ABC):
    """Pictures by position, each made when it is asked for."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __getitem__(self, index: int) -> Image.Image:
        """The picture as it is, upright."""

    def pixels(self, index: int, spec: PreprocessSpec) -> NDArray[np.uint8]:
        """The picture as a model takes it: uint8 [H, W, C]."""
        return preprocess.from_image(self[index], spec).pixels


@dataclass(frozen=True)
class ArrayPictures(Pictures):
    """Pictures that lie in memory: uint8 [N, h, w] grey or [N, h, w, 3] RGB."""

    array: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, index: int) -> Image.Image:
        return Image.fromarray(self.array[index])


@dataclass(frozen=True)
class Split:
    """N pictures with their labels and, where a set knows them, the boxes of what the label is about."""

    pictures: Pictures
    labels: NDArray[np.int64]  # [N], 0 <= label < K; of a multilabel set [N, K], 0 or 1
    box: Callable[[int], Box | None] | None = None  # by position; None where what the label is about is not there


@dataclass(frozen=True)
class Dataset:
    """A data set, ready to be trained on."""

    name: str
    kind: Kind  # binary: two labels, told apart by one sigmoid; multiclass: more, by a softmax
    labels: list[str]  # K names
    splits: dict[SplitName, Split]


def check(dataset: Dataset) -> None:
    """Raises DataError for a class that could not be learnt, or not be judged: one that a split has nothing of."""
    if len(dataset.labels) < 2:
        raise DataError(
            f"{dataset.name}: there is one class only ({', '.join(dataset.labels)}), and nothing to tell apart"
        )
    for name, split in dataset.splits.items():
        counts = class_counts(split.labels, len(dataset.labels))
        if not counts.all():
            empty = ", ".join(label for label, count in zip(dataset.labels, counts, strict=True) if not count)
            raise DataError(
                f"{dataset.name}: the {name} split has no picture of {empty}; every class needs some in each split"
            )


def class_counts(labels: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """How many pictures each class has: int64 [K], from labels [N], or [N, K] of a multilabel set."""
    return labels.sum(axis=0) if labels.ndim == 2 else np.bincount(labels, minlength=classes)


def pixels_of(pictures: Pictures, spec: PreprocessSpec, advance: Callable[[], None]) -> NDArray[np.uint8]:
    """Pixels uint8 [N, H, W, C] of all `pictures`, made as the server makes them; calls `advance` after each."""
    pixels = np.empty((len(pictures), *spec.shape), np.uint8)
    for index in range(len(pictures)):
        pixels[index] = pictures.pixels(index, spec)
        advance()
    return pixels


def fingerprint(parts: list[tuple[NDArray[np.uint8], NDArray[np.int64]]]) -> str:
    """SHA-256, hexadecimal, over the pixels and labels of each part in order."""
    digest = hashlib.sha256()
    for pixels, labels in parts:
        digest.update(pixels.tobytes())
        digest.update(labels.astype("<i8").tobytes())
    return digest.hexdigest()


def strata(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """The one class that each picture goes by when pictures are taken from all classes: int64 [N].

    Labels [N] are that already; of a multilabel set's [N, K] it is the rarest label that a picture has, K where it has none.
    """
    if labels.ndim == 1:
        return labels
    rarity = np.where(labels == 1, labels.sum(axis=0), len(labels) + 1)
    rarest: NDArray[np.int64] = np.where(labels.any(axis=1), rarity.argmin(axis=1), labels.shape[1])
    return rarest


def balanced(labels: NDArray[np.int64], count: int, seed: int) -> NDArray[np.int64]:
    """Positions of `count` pictures (all, if there are fewer), as evenly from every class as it can be done, ascending.

    The same labels, count and seed give the same positions. Pictures are taken from the classes in turns, so a class
    that runs out leaves its turns to the others.
    """
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    turn, classes = np.empty(len(labels), np.int64), strata(labels)
    for label in np.unique(classes):
        members = shuffled[classes[shuffled] == label]
        turn[members] = np.arange(len(members))
    order = np.lexsort((classes, turn))
    return np.sort(order[:count])
