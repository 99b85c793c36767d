"""One thread that owns an engine and feeds it, batch after batch, from a queue that the event loop fills.

The thread itself takes the next batch, at the moment when the engine is free: a batch stays open as long as possible, and
no trip through the event loop lies between two runs. Answers go back in one call per batch.
"""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue

import numpy as np
from numpy.typing import NDArray

from server.batching.policy import padded_size, plan
from server.engine.base import Batch, Engine, Outputs
from server.errors import DeadlineError, InternalError, ServerError, UnavailableError

log = logging.getLogger(__name__)

# Weight of the newest batch in the running mean of the time per image.
_NEWEST = 0.2


@dataclass(frozen=True, slots=True)
class Output:
    """The answer for one image, and what it cost in seconds."""

    probabilities: NDArray[np.float32]  # [K]
    heatmaps: NDArray[np.float32]  # [M, h, w], 0..1; M is 0 without targets
    queue_seconds: float
    infer_seconds: float
    batch_images: int


@dataclass(frozen=True, slots=True)
class _Entry:
    pixels: NDArray[np.uint8]
    targets: tuple[int, ...]
    method: int
    deadline: float | None
    submitted: float
    answer: asyncio.Future[Output]

    @property
    def abandoned(self) -> bool:
        return self.answer.cancelled()


class Batcher:
    """Batches images for one engine. Create it inside a running event loop; `submit` belongs to that loop."""

    def __init__(
        self,
        engine: Engine,
        max_batch: int,
        clock: Callable[[], float],
        on_batch: Callable[[int, float], None],
        name: str,
    ) -> None:
        """`clock` gives seconds on the scale of deadlines; `on_batch` hears size and seconds of each batch that ran."""
        self._engine = engine
        self.max_batch = max_batch
        self._clock = clock
        self._on_batch = on_batch
        self._loop = asyncio.get_running_loop()
        self._arrivals: SimpleQueue[_Entry | None] = SimpleQueue()  # None: no more will come
        self._waiting: deque[_Entry] = deque()  # the engine's thread alone
        self._closed = False
        self._seconds_per_image = 0.0
        self._thread = threading.Thread(target=self._work, name=f"engine {name}", daemon=True)
        self._thread.start()

    @property
    def queued(self) -> int:
        """Images that wait for the engine now."""
        return self._arrivals.qsize() + len(self._waiting)

    @property
    def seconds_per_image(self) -> float:
        """Engine time per image, averaged over the last batches; 0 before the first."""
        return self._seconds_per_image

    async def submit(
        self, pixels: NDArray[np.uint8], targets: tuple[int, ...], method: int, deadline: float | None
    ) -> Output:
        """Waits for the engine's answer to one image, pixels [H, W, C], with one heatmap for each of `targets`.

        `method` is the index among the model's explanations of the one that makes the heatmaps.
        Cancelling the call takes the image out of the queue. Raises DeadlineError when `deadline` passes in the queue,
        InternalError when the engine fails, UnavailableError after `close`.
        """
        if self._closed:
            raise UnavailableError("the model is out of service; try again or ask another server")
        entry = _Entry(pixels, targets, method, deadline, self._clock(), self._loop.create_future())
        self._arrivals.put(entry)
        return await entry.answer

    async def close(self) -> None:
        """Finishes what is queued, then frees the engine's thread."""
        self._closed = True
        self._arrivals.put(None)
        await asyncio.to_thread(self._thread.join)

    def _work(self) -> None:
        while self._receive():
            decision = plan(self._waiting, self._clock(), self.max_batch)
            for _ in range(decision.seen):
                self._waiting.popleft()
            if decision.expired:
                late = DeadlineError("the deadline passed while the image waited for the engine")
                self._deliver(decision.expired, late)
            if decision.take:
                self._compute(decision.take)

    def _receive(self) -> bool:
        """Takes in all that has arrived, waiting for something if there is nothing; False when all work is done."""
        while not self._waiting or not self._arrivals.empty():
            entry = self._arrivals.get()
            if entry is None:
                self._arrivals.put(None)  # what arrived before is still to be computed
                return bool(self._waiting)
            self._waiting.append(entry)
        return True

    def _compute(self, entries: list[_Entry]) -> None:
        started = self._clock()
        try:
            outputs = self._engine.run(_assemble(entries, self._engine.buckets))
        except Exception:  # whatever the engine's library raises, its callers must hear of it
            log.exception("the engine failed on a batch of %d images", len(entries))
            self._deliver(entries, InternalError("the engine failed on this batch"))
            return
        seconds = self._clock() - started
        per_image = seconds / len(entries)
        known = self._seconds_per_image
        self._seconds_per_image = known + _NEWEST * (per_image - known) if known else per_image
        self._on_batch(len(entries), seconds)
        self._deliver(entries, _split(entries, outputs, started, seconds))

    def _deliver(self, entries: list[_Entry], results: ServerError | list[Output]) -> None:
        self._loop.call_soon_threadsafe(_settle, entries, results)


def _settle(entries: list[_Entry], results: ServerError | list[Output]) -> None:
    """Runs in the event loop. A caller who left in the meantime is skipped; the others get their answers."""
    for row, entry in enumerate(entries):
        if entry.answer.done():
            continue
        if isinstance(results, ServerError):
            entry.answer.set_exception(results)
        else:
            entry.answer.set_result(results[row])


def _assemble(entries: list[_Entry], buckets: tuple[int, ...]) -> Batch:
    """Stacks the entries and pads with black images, and with the top class as target, to one rectangular batch."""
    size = padded_size(len(entries), buckets)
    pixels = np.zeros((size, *entries[0].pixels.shape), np.uint8)
    for row, entry in enumerate(entries):
        pixels[row] = entry.pixels
    most = max(len(entry.targets) for entry in entries)
    targets = np.full((size, most), -1, np.int64)
    methods = np.zeros((size, most), np.int64)
    for row, entry in enumerate(entries):
        targets[row, : len(entry.targets)] = entry.targets
        methods[row] = entry.method
    return Batch(pixels, targets, methods)


def _split(entries: list[_Entry], outputs: Outputs, started: float, seconds: float) -> list[Output]:
    # Copies, because a view would keep the whole batch alive for as long as the slowest of its callers.
    return [
        Output(
            outputs.probabilities[row].copy(),
            outputs.heatmaps[row, : len(entry.targets)].copy(),
            started - entry.submitted,
            seconds,
            len(entries),
        )
        for row, entry in enumerate(entries)
    ]
