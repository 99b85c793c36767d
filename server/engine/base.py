"""The seam between batching and whatever executes the graph."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Batch:
    """N images for one run, each with M targets. With M = 0 no heatmap is computed, and none is paid for."""

    pixels: NDArray[np.uint8]  # [N, H, W, C]
    targets: NDArray[np.int64]  # [N, M]; -1-r means the class ranked r-th
    methods: NDArray[np.int64]  # [N, M]; index into the manifest's explanations


@dataclass(frozen=True)
class Outputs:
    """What the graph answers for a batch."""

    probabilities: NDArray[np.float32]  # [N, K]
    heatmaps: NDArray[np.float32]  # [N, M, h, w], 0..1


class Engine(Protocol):
    """A compiled model on a device. `run` is called by one thread at a time."""

    name: str  # "onnxruntime"
    precision: str  # "fp32"
    device: str  # "cpu", "cuda"
    # Batch sizes that run well, ascending; batches are padded to the next of them. Empty: every size does.
    buckets: tuple[int, ...]

    def run(self, batch: Batch) -> Outputs:
        """Computes the outputs of a batch; raises whatever the library raises."""
        ...
