"""What waits in a batcher, and how several of them become one run of the engine and its outputs their answers."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from server.engine.base import Array


class Item(Protocol):
    """One question to the engine."""

    @property
    def rows(self) -> int:
        """How much room it takes in a batch."""

    @property
    def shape(self) -> Hashable:
        """Only items of equal shape can share a batch."""


I = TypeVar("I", bound=Item)  # noqa: E741
R = TypeVar("R")
I_contra = TypeVar("I_contra", bound=Item, contravariant=True)


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the engine: its inputs [N, ...], and the outputs that somebody wants."""

    feeds: Mapping[str, Array]
    wanted: Sequence[str]


class Form(Protocol, Generic[I_contra, R]):
    """How items of a kind are put together for the engine, and its outputs taken apart."""

    def assemble(self, items: Sequence[I_contra], size: int) -> Run:
        """One run of `size` rows, at least those of the items; what is more is padding."""

    def split(self, items: Sequence[I_contra], outputs: Sequence[Array]) -> list[R]:
        """For each item its own part of the outputs that the run wanted."""


@dataclass(frozen=True, slots=True)
class ImageItem:
    """One image, and which of its classes to explain by which method."""

    pixels: NDArray[np.uint8]  # [H, W, C]
    targets: tuple[int, ...]  # -1-r means the class ranked r-th
    method: int  # index into the manifest's explanations
    rows = 1
    shape = None  # the model's; others are refused before they come here


@dataclass(frozen=True, slots=True)
class ImageResult:
    """The answer for one image."""

    probabilities: NDArray[np.float32]  # [K]
    heatmaps: NDArray[np.float32]  # [M, h, w], 0..1; none without targets


_NO_HEATMAPS = np.empty((0, 0, 0), np.float32)


class Images:
    """Images for a classifier. When nobody in a batch asks for an explanation, none is computed and none is paid for."""

    def assemble(self, items: Sequence[ImageItem], size: int) -> Run:
        """Pads with black images, and with the top class as target, to one rectangular batch."""
        pixels = np.zeros((size, *items[0].pixels.shape), np.uint8)
        for row, item in enumerate(items):
            pixels[row] = item.pixels
        most = max(len(item.targets) for item in items)
        if not most:
            return Run({"pixels": pixels}, ["probabilities"])
        targets = np.full((size, most), -1, np.int64)
        methods = np.zeros((size, most), np.int64)
        for row, item in enumerate(items):
            targets[row, : len(item.targets)] = item.targets
            methods[row] = item.method
        return Run({"pixels": pixels, "targets": targets, "methods": methods}, ["probabilities", "heatmaps"])

    def split(self, items: Sequence[ImageItem], outputs: Sequence[Array]) -> list[ImageResult]:
        """Copies, because a view would keep the whole batch alive for as long as the slowest of its callers."""
        probabilities = np.asarray(outputs[0], np.float32)
        if len(outputs) == 1:
            return [ImageResult(probabilities[row].copy(), _NO_HEATMAPS) for row in range(len(items))]
        heatmaps = np.asarray(outputs[1], np.float32)
        return [
            ImageResult(probabilities[row].copy(), heatmaps[row, : len(item.targets)].copy())
            for row, item in enumerate(items)
        ]


@dataclass(frozen=True, slots=True)
class TensorItem:
    """Rows for a model that takes no images."""

    inputs: Mapping[str, Array]  # [n, ...] each
    wanted: tuple[str, ...]

    @property
    def rows(self) -> int:
        """The length of the first axis, the same in all inputs."""
        return len(next(iter(self.inputs.values())))

    @property
    def shape(self) -> Hashable:
        """The sizes of a row of each input: where they vary, only equal ones fit together."""
        return tuple((name, array.shape[1:]) for name, array in sorted(self.inputs.items()))


class Tensors:
    """Rows for a model that takes no images. Each caller gets the outputs that he wants."""

    def assemble(self, items: Sequence[TensorItem], size: int) -> Run:
        """Pads with copies of the last row: zeros may be no valid input, as in a division."""
        padding = size - sum(item.rows for item in items)
        feeds = {name: _joined([item.inputs[name] for item in items], padding) for name in items[0].inputs}
        return Run(feeds, tuple(dict.fromkeys(name for item in items for name in item.wanted)))

    def split(self, items: Sequence[TensorItem], outputs: Sequence[Array]) -> list[dict[str, Array]]:
        """Copies, as for images."""
        wanted = dict(zip(dict.fromkeys(name for item in items for name in item.wanted), outputs, strict=True))
        parts, start = [], 0
        for item in items:
            parts.append({name: wanted[name][start : start + item.rows].copy() for name in item.wanted})
            start += item.rows
        return parts


def _joined(arrays: Sequence[Array], padding: int) -> Array:
    padded = [*arrays, np.repeat(arrays[-1][-1:], padding, axis=0)] if padding else arrays
    return np.concatenate(padded) if len(padded) > 1 else padded[0]
