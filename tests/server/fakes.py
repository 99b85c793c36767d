"""An engine whose runs the test holds and releases, and a clock that only the test moves."""

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from server.batching.batcher import Batcher, Limits
from server.batching.items import ImageItem, ImageResult, Images
from server.batching.lane import Fault
from server.engine.base import Array, Engine


class ManualClock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Heard:
    """What a batcher told of its engines."""

    faults: list[Fault] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)

    def ran(self, rows: int, seconds: float) -> None:
        pass

    def fault(self, fault: Fault) -> None:
        self.faults.append(fault)

    def failing(self, reason: str) -> None:
        self.reasons.append(reason)


def image_batcher(
    *engines: Engine,
    clock: Callable[[], float],
    most: int = 8,
    rebuild: Callable[[], Engine] | None = None,
    heard: Heard | None = None,
    run_seconds: float = 1000.0,
) -> Batcher[ImageItem, ImageResult]:
    """A batcher of images of 2x2 pixels; without `rebuild`, an engine that failed is used again."""
    canary = ImageItem(np.zeros((1, 2, 2, 1), np.uint8), np.empty((1, 0), np.int64), 0)
    limits = Limits(most, run_seconds)
    return Batcher(engines, Images, limits, rebuild or (lambda: engines[0]), canary, heard or Heard(), clock, "test")


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
