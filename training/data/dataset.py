"""What every data set looks like to the rest of training: three splits of pictures with their labels.

Pictures are handed out one at a time and undecided in size, so that a set can be drawn, decoded or read lazily; only
`bundle.preprocess` turns them into pixels.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bundle import preprocess
from bundle.manifest import Kind
from bundle.preprocess import PreprocessSpec

Box = tuple[int, int, int, int]  # left, top, right, bottom in picture pixels; right and bottom are just outside
SplitName = Literal["train", "validation", "test"]


class Pictures(Protocol):
    """Pictures by position, each made when it is asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Image.Image: ...


@dataclass(frozen=True)
class ArrayPictures:
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
    labels: NDArray[np.int64]  # [N], 0 <= label < K
    box: Callable[[int], Box | None] | None = None  # by position; None where what the label is about is not there


@dataclass(frozen=True)
class Dataset:
    """A data set, ready to be trained on."""

    name: str
    labels: list[str]  # K names
    splits: dict[SplitName, Split]


def kind_of(labels: list[str]) -> Kind:
    """Two labels are told apart by one sigmoid, more by a softmax."""
    return "binary" if len(labels) == 2 else "multiclass"


def pixels_of(pictures: Pictures, spec: PreprocessSpec, advance: Callable[[], None]) -> NDArray[np.uint8]:
    """Pixels uint8 [N, H, W, C] of all `pictures`, made as the server makes them; calls `advance` after each."""
    pixels = np.empty((len(pictures), *spec.shape), np.uint8)
    for index in range(len(pictures)):
        pixels[index] = preprocess.from_image(pictures[index], spec).pixels
        advance()
    return pixels


def fingerprint(parts: list[tuple[NDArray[np.uint8], NDArray[np.int64]]]) -> str:
    """SHA-256, hexadecimal, over the pixels and labels of each part in order."""
    digest = hashlib.sha256()
    for pixels, labels in parts:
        digest.update(pixels.tobytes())
        digest.update(labels.astype("<i8").tobytes())
    return digest.hexdigest()


def balanced(labels: NDArray[np.int64], count: int, seed: int) -> NDArray[np.int64]:
    """Positions of `count` pictures (all, if there are fewer), as evenly from every class as it can be done, ascending.

    The same labels, count and seed give the same positions. Pictures are taken from the classes in turns, so a class
    that runs out leaves its turns to the others.
    """
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    turn = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        members = shuffled[labels[shuffled] == label]
        turn[members] = np.arange(len(members))
    order = np.lexsort((labels, turn))
    return np.sort(order[:count])
