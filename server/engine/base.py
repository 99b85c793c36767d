"""The seam between batching and whatever executes the graph: arrays in, arrays out."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.generic]


class OutOfMemoryError(Exception):
    """A run did not fit into the memory of the device or of the machine; a smaller one may."""


# What the libraries say when memory is short: ONNX Runtime's arenas on both devices, CUDA, C++ itself. They have no type for it.
_MEMORY_WORDS = ("failed to allocate memory", "out of memory", "bad_alloc", "bad allocation", "cannot allocate memory")


def as_memory_error(error: Exception) -> Exception:
    """The error itself, or an OutOfMemoryError when that is what it tells."""
    text = str(error).lower()
    if isinstance(error, MemoryError) or any(words in text for words in _MEMORY_WORDS):
        return OutOfMemoryError(str(error) or "memory is short")
    return error


class Engine(Protocol):
    """A compiled model on a device. `run` is called by one thread at a time."""

    @property
    def name(self) -> str:
        """For example "onnxruntime"."""

    @property
    def precision(self) -> str:
        """For example "fp32"."""

    @property
    def device(self) -> str:
        """Where it runs: "cpu" or "cuda"."""

    @property
    def buckets(self) -> tuple[int, ...]:
        """Batch sizes that run well, ascending; batches are padded to the next of them. Empty: every size does."""

    def run(self, feeds: Mapping[str, Array], wanted: Sequence[str]) -> list[Array]:
        """Computes the outputs `wanted`, and no others where that saves anything, in their order.

        `feeds` has an array [N, ...] for every input that they need. Raises OutOfMemoryError, and otherwise whatever the library
        raises. The arrays may be overwritten by the next run.
        """
