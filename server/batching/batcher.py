"""Feeds an engine, batch after batch, from what the event loop submits.

The engine has a thread of its own, which takes the next batch itself, at the moment when the engine is free: a batch stays open
as long as possible, and no trip through the event loop lies between two runs. Answers go back in one call per batch.

The way to a thread and back takes longer than a tiny network on a CPU does: what such a network needs less than half a
millisecond for, while it has nothing else to do, the event loop computes itself, at once.
"""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Hashable
from queue import SimpleQueue
from typing import Generic

from msgspec import Struct

from server.batching.items import Form, I, R
from server.batching.policy import padded_size, plan
from server.engine.base import Engine
from server.errors import DeadlineError, InternalError, ServerError, UnavailableError

log = logging.getLogger(__name__)

# Weight of the newest batch in the running mean of the time per row.
_NEWEST = 0.2
# The event loop may be held up for so long, to spare a lone item the way to the engine's thread.
_AT_ONCE_SECONDS = 0.0005


class Output(Struct, Generic[R], frozen=True):
    """The answer to one item, and what it cost in seconds."""

    result: R
    queue_seconds: float
    infer_seconds: float
    batch_rows: int


class _Entry(Struct, Generic[I, R], frozen=True):
    item: I
    rows: int
    shape: Hashable
    deadline: float | None
    submitted: float
    answer: asyncio.Future[Output[R]]

    @property
    def abandoned(self) -> bool:
        return self.answer.cancelled()


class Batcher(Generic[I, R]):
    """Batches items for one engine. Create it inside a running event loop; `submit` belongs to that loop."""

    def __init__(
        self,
        engine: Engine,
        form: Form[I, R],
        max_batch: int,
        clock: Callable[[], float],
        on_batch: Callable[[int, float], None],
        name: str,
    ) -> None:
        """`clock` gives seconds on the scale of deadlines; `on_batch` hears size and seconds of each batch that ran."""
        self._engine = engine
        self._form = form
        self.max_batch = max_batch
        self._clock = clock
        self._on_batch = on_batch
        self._loop = asyncio.get_running_loop()
        self._arrivals: SimpleQueue[_Entry[I, R] | None] = SimpleQueue()  # None: no more will come
        self._waiting: deque[_Entry[I, R]] = deque()  # the engine's thread alone
        self._behind = 0  # callers who wait for the thread; the event loop alone
        self._engine_free = threading.Lock()  # a caller who left does not free the engine of his batch
        self._closed = False
        self._seconds_per_row = 0.0
        self._thread = threading.Thread(target=self._work, name=f"engine {name}", daemon=True)
        self._thread.start()

    @property
    def queued(self) -> int:
        """Items that wait for the engine now."""
        return self._arrivals.qsize() + len(self._waiting)

    @property
    def seconds_per_row(self) -> float:
        """Engine time per row, averaged over the last batches; 0 before the first."""
        return self._seconds_per_row

    async def submit(self, item: I, deadline: float | None, *, lone: bool = False) -> Output[R]:
        """Waits for the engine's answer to one item; a `lone` one has no companions that come at the same moment.

        Cancelling the call takes it out of the queue. Raises DeadlineError when `deadline` passes in the queue,
        InternalError when the engine fails, UnavailableError after `close`.
        """
        if self._closed:
            raise UnavailableError("the model is out of service; try again or ask another server")
        entry: _Entry[I, R] = _Entry(item, item.rows, item.shape, deadline, self._clock(), self._loop.create_future())
        if lone and not self._behind and self._is_tiny(entry.rows) and self._engine_free.acquire(blocking=False):
            try:
                self._step(deque((entry,)), _settle)
            finally:
                self._engine_free.release()
            return await entry.answer
        self._behind += 1
        try:
            self._arrivals.put(entry)
            return await entry.answer
        finally:
            self._behind -= 1

    async def close(self) -> None:
        """Finishes what is queued, then frees the engine's thread."""
        self._closed = True
        self._arrivals.put(None)
        await asyncio.to_thread(self._thread.join)

    def _is_tiny(self, rows: int) -> bool:
        """Whether the engine is known to need next to nothing for so many rows. A GPU is not: it wants batches."""
        return 0 < rows * self._seconds_per_row < _AT_ONCE_SECONDS and self._engine.device == "cpu"

    def _work(self) -> None:
        while self._receive():
            with self._engine_free:
                self._step(self._waiting, self._send)

    def _receive(self) -> bool:
        """Takes in all that has arrived, waiting for something if there is nothing; False when all work is done."""
        while not self._waiting or not self._arrivals.empty():
            entry = self._arrivals.get()
            if entry is None:
                self._arrivals.put(None)  # what arrived before is still to be computed
                return bool(self._waiting)
            self._waiting.append(entry)
        return True

    def _step(self, waiting: deque[_Entry[I, R]], deliver: "_Deliver[I, R]") -> None:
        """Runs the engine once on what waits, if there is something worth running."""
        decision = plan(waiting, self._clock(), self.max_batch)
        for _ in range(decision.seen):
            waiting.popleft()
        if decision.expired:
            deliver(decision.expired, DeadlineError("the deadline passed while the request waited for the engine"))
        if decision.take:
            deliver(decision.take, self._compute(decision.take))

    def _compute(self, entries: list[_Entry[I, R]]) -> ServerError | list[Output[R]]:
        started = self._clock()
        items = [entry.item for entry in entries]
        rows = sum([entry.rows for entry in entries])
        try:
            run = self._form.assemble(items, padded_size(rows, self._engine.buckets))
            results = self._form.split(items, self._engine.run(run.feeds, run.wanted))
        except Exception:  # whatever the engine's library raises, its callers must hear of it
            log.exception("the engine failed on a batch of %d", rows)
            return InternalError("the engine failed on this batch")
        seconds = self._clock() - started
        known = self._seconds_per_row
        self._seconds_per_row = known + _NEWEST * (seconds / rows - known) if known else seconds / rows
        self._on_batch(rows, seconds)
        parts = zip(entries, results, strict=True)
        return [Output(result, started - entry.submitted, seconds, rows) for entry, result in parts]

    def _send(self, entries: list[_Entry[I, R]], results: ServerError | list[Output[R]]) -> None:
        self._loop.call_soon_threadsafe(_settle, entries, results)


_Deliver = Callable[[list[_Entry[I, R]], ServerError | list[Output[R]]], None]


def _settle(entries: list[_Entry[I, R]], results: ServerError | list[Output[R]]) -> None:
    """Runs in the event loop. A caller who left in the meantime is skipped; the others get their answers."""
    for row, entry in enumerate(entries):
        if entry.answer.done():
            continue
        if isinstance(results, ServerError):
            entry.answer.set_exception(results)
        else:
            entry.answer.set_result(results[row])
