"""An engine whose runs the test holds and releases, and a clock that only the test moves."""

import asyncio
import threading
from collections.abc import Mapping, Sequence

import numpy as np

from server.engine.base import Array


class ManualClock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class GatedEngine:
    """Answers, as probabilities, [first pixel value / 255, 1 - that]; each run waits for a permit of the test."""

    name, precision, device = "gated", "fp32", "cpu"

    def __init__(self, buckets: tuple[int, ...] = ()) -> None:
        self.buckets = buckets
        self.batches: list[Mapping[str, Array]] = []  # what each run was fed
        self._entered = threading.Semaphore(0)
        self._permits = threading.Semaphore(0)
        self._failure: Exception | None = None

    def run(self, feeds: Mapping[str, Array], wanted: Sequence[str]) -> list[Array]:
        self.batches.append({name: array.copy() for name, array in feeds.items()})  # the batcher uses its memory again
        self._entered.release()
        self._permits.acquire()
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        pixels = feeds["pixels"]
        value = pixels.reshape(len(pixels), -1)[:, :1].astype(np.float32) / 255
        outputs: list[Array] = [np.concatenate([value, 1 - value], axis=1)]
        if "heatmaps" in wanted:
            outputs.append(np.full((*feeds["targets"].shape, 2, 2), 0.5, np.float32))
        return outputs

    def fail_next(self, failure: Exception) -> None:
        """The run that is released next raises this."""
        self._failure = failure

    def release(self, runs: int = 1) -> None:
        """Lets that many runs finish, those to come included."""
        self._permits.release(runs)

    async def entered(self) -> None:
        """Returns when one more run has begun."""
        await asyncio.to_thread(self._entered.acquire)
