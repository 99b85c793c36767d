"""The seam between batching and whatever executes the graph: arrays in, arrays out."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.generic]


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

        `feeds` has an array [N, ...] for every input that they need; raises whatever the library raises. The arrays may be
        overwritten by the next run.
        """
