"""What waits in a batcher, and how several of them become one run of the engine and its outputs their answers."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Generic, Protocol, TypeVar

import numpy as np
from msgspec import Struct
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


class Run(Struct, frozen=True):
    """One run of the engine: its inputs [N, ...], and the outputs that somebody wants."""

    feeds: Mapping[str, Array]
    wanted: Sequence[str]


class Form(Protocol, Generic[I_contra, R]):
    """How items of a kind are put together for the engine, and its outputs taken apart."""

    def assemble(self, items: Sequence[I_contra], size: int) -> Run:
        """One run of `size` rows, at least those of the items; what is more is padding."""

    def split(self, items: Sequence[I_contra], outputs: Sequence[Array]) -> list[R]:
        """For each item its own part of the outputs that the run wanted."""


class ImageItem(Struct, frozen=True):
    """Images that travel together, and which of their classes to explain by which method."""

    pixels: NDArray[np.uint8]  # [n, H, W, C]
    targets: NDArray[np.int64]  # [n, M], -1-r means the class ranked r-th; M is 0 for a plain prediction
    method: int  # index into the manifest's explanations

    @property
    def rows(self) -> int:
        """How many images."""
        return len(self.pixels)

    @property
    def shape(self) -> Hashable:
        """That of the model; others are refused before they come here."""
        return None


class ImageResult(Struct, frozen=True):
    """The answers for the images of an item."""

    probabilities: NDArray[np.float32]  # [n, K]
    heatmaps: NDArray[np.float32]  # [n, M, h, w], 0..1; empty without targets
    tops: list[int]  # the most probable class of each image
    confidences: list[float]  # its probability


def most_probable(probabilities: NDArray[np.float32]) -> tuple[list[int], list[float]]:
    """The most probable class of each image, the first of equals, and its probability; `probabilities` is [n, K]."""
    tops = probabilities.argmax(axis=1)
    return tops.tolist(), probabilities[np.arange(len(tops)), tops].tolist()


class Images:
    """Images for a classifier. When nobody in a batch asks for an explanation, none is computed and none is paid for.

    The batches are put together in one buffer, again and again: fresh memory of some MiB would cost page faults each time.
    """

    def __init__(self) -> None:
        self._buffer = np.empty((0, 0, 0, 0), np.uint8)

    def assemble(self, items: Sequence[ImageItem], size: int) -> Run:
        """Pads with black images, and with the top class as target, to one rectangular batch.

        The pixels are those of the only item as they are, or else in a buffer that the next batch overwrites.
        """
        pixels = self._stacked([item.pixels for item in items], size)
        most = max(item.targets.shape[1] for item in items)
        if not most:
            return Run({"pixels": pixels}, ("probabilities",))
        targets = np.full((size, most), -1, np.int64)
        methods = np.zeros((size, most), np.int64)
        start = 0
        for item in items:
            end = start + item.rows
            targets[start:end, : item.targets.shape[1]] = item.targets
            methods[start:end] = item.method
            start = end
        return Run({"pixels": pixels, "targets": targets, "methods": methods}, ("probabilities", "heatmaps"))

    def split(self, items: Sequence[ImageItem], outputs: Sequence[Array]) -> list[ImageResult]:
        """Copies, because a view would keep the whole batch alive for as long as the slowest of its callers."""
        rows = sum(item.rows for item in items)
        probabilities = outputs[0][:rows].astype(np.float32, copy=False)
        heatmaps = outputs[1].astype(np.float32, copy=False) if len(outputs) > 1 else _NO_HEATMAPS
        tops, confidences = most_probable(probabilities)
        results, start = [], 0
        for item in items:
            end = start + item.rows
            targets = item.targets.shape[1]
            results.append(
                ImageResult(
                    probabilities[start:end].copy(),
                    heatmaps[start:end, :targets].copy() if targets else _NO_HEATMAPS,
                    tops[start:end],
                    confidences[start:end],
                )
            )
            start = end
        return results

    def _stacked(self, parts: Sequence[NDArray[np.uint8]], size: int) -> NDArray[np.uint8]:
        if len(parts) == 1 and len(parts[0]) == size:
            return parts[0]
        if len(self._buffer) < size:
            self._buffer = np.empty((size, *parts[0].shape[1:]), np.uint8)
        rows = sum(map(len, parts))
        np.concatenate(parts, out=self._buffer[:rows])
        self._buffer[rows:size] = 0
        return self._buffer[:size]


_NO_HEATMAPS = np.empty((0, 0, 0, 0), np.float32)


class TensorItem(Struct, frozen=True):
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
