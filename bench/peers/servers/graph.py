"""What every peer runs: the same ONNX Runtime session, set up as our server sets up its own, and a count of its batches.

Settings come in the environment, because that is what all of these servers hand on to the processes that they start.
"""

import mmap
import os
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

# Images and runs of a process since its start, as two little-endian 64-bit numbers.
COUNTERS = struct.Struct("<QQ")


@dataclass(frozen=True)
class Options:
    """How a peer is to serve; `bench.peers.starting` sets the variables."""

    graph: Path
    name: str  # of the model
    shape: tuple[int, ...]  # of one picture: height, width, channels
    classes: int
    port: int
    other_port: int  # for what cannot do without one
    threads: int  # of the engine, for one run
    max_batch: int
    delay_seconds: float  # that a batch may wait to be filled
    variant: str  # what only one peer knows
    counters: Path  # the folder for them

    @classmethod
    def from_environment(cls) -> "Options":
        """Reads PEER_GRAPH and the others."""
        given = {name.removeprefix("PEER_"): text for name, text in os.environ.items() if name.startswith("PEER_")}
        return cls(
            graph=Path(given["GRAPH"]),
            name=given["NAME"],
            shape=tuple(map(int, given["SHAPE"].split(","))),
            classes=int(given["CLASSES"]),
            port=int(given["PORT"]),
            other_port=int(given["OTHER_PORT"]),
            threads=int(given["THREADS"]),
            max_batch=int(given["MAX_BATCH"]),
            delay_seconds=float(given["DELAY_MS"]) / 1000,
            variant=given["VARIANT"],
            counters=Path(given["COUNTERS"]),
        )


class Graph:
    """The model. `run` is for one thread at a time, or the count may miss a batch."""

    def __init__(self, options: Options) -> None:
        settings = ort.SessionOptions()
        settings.intra_op_num_threads = options.threads
        settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = ort.InferenceSession(options.graph, settings, providers=["CPUExecutionProvider"])
        self._counters = _open(options.counters / f"batches-{os.getpid()}")
        self._images, self._runs = 0, 0
        self._session.run(None, {"pixels": np.zeros((1, *options.shape), np.uint8)})

    def run(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities [N, classes] of pixels [N, H, W, C]."""
        self._images += len(pixels)
        self._runs += 1
        COUNTERS.pack_into(self._counters, 0, self._images, self._runs)
        probabilities: NDArray[np.float32] = self._session.run(None, {"pixels": pixels})[0]
        return probabilities


def _open(path: Path) -> mmap.mmap:
    path.write_bytes(bytes(COUNTERS.size))
    with path.open("r+b") as file:
        return mmap.mmap(file.fileno(), COUNTERS.size)
