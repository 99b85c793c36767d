"""One thread that owns an engine and feeds it, batch after batch, from a queue that the event loop fills.

The thread itself takes the next batch, at the moment when the engine is free: a batch stays open as long as possible, and
no trip through the event loop lies between two runs. Answers go back in one call per batch.
"""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Generic

from server.batching.items import Form, I, R
from server.batching.policy import padded_size, plan
from server.engine.base import Engine
from server.errors import DeadlineError, InternalError, ServerError, UnavailableError

log = logging.getLogger(__name__)

# Weight of the newest batch in the running mean of the time per row.
_NEWEST = 0.2


@dataclass(frozen=True, slots=True)
class Output(Generic[R]):
    """The answer to one item, and what it cost in seconds."""

    result: R
    queue_seconds: float
    infer_seconds: float
    batch_rows: int


@dataclass(frozen=True, slots=True)
class _Entry(Generic[I, R]):
    item: I
    deadline: float | None
    submitted: float
    answer: asyncio.Future[Output[R]]

    @property
    def rows(self) -> int:
        return self.item.rows

    @property
    def shape(self) -> Hashable:
        return self.item.shape

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

    async def submit(self, item: I, deadline: float | None) -> Output[R]:
        """Waits for the engine's answer to one item.

        Cancelling the call takes it out of the queue. Raises DeadlineError when `deadline` passes in the queue,
        InternalError when the engine fails, UnavailableError after `close`.
        """
        if self._closed:
            raise UnavailableError("the model is out of service; try again or ask another server")
        entry = _Entry(item, deadline, self._clock(), self._loop.create_future())
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
                late = DeadlineError("the deadline passed while the request waited for the engine")
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

    def _compute(self, entries: list[_Entry[I, R]]) -> None:
        started = self._clock()
        items = [entry.item for entry in entries]
        rows = sum(item.rows for item in items)
        try:
            run = self._form.assemble(items, padded_size(rows, self._engine.buckets))
            results = self._form.split(items, self._engine.run(run.feeds, run.wanted))
        except Exception:  # whatever the engine's library raises, its callers must hear of it
            log.exception("the engine failed on a batch of %d", rows)
            self._deliver(entries, InternalError("the engine failed on this batch"))
            return
        seconds = self._clock() - started
        known = self._seconds_per_row
        self._seconds_per_row = known + _NEWEST * (seconds / rows - known) if known else seconds / rows
        self._on_batch(rows, seconds)
        parts = zip(entries, results, strict=True)
        self._deliver(entries, [Output(result, started - entry.submitted, seconds, rows) for entry, result in parts])

    def _deliver(self, entries: list[_Entry[I, R]], results: ServerError | list[Output[R]]) -> None:
        self._loop.call_soon_threadsafe(_settle, entries, results)


def _settle(entries: list[_Entry[I, R]], results: ServerError | list[Output[R]]) -> None:
    """Runs in the event loop. A caller who left in the meantime is skipped; the others get their answers."""
    for row, entry in enumerate(entries):
        if entry.answer.done():
            continue
        if isinstance(results, ServerError):
            entry.answer.set_exception(results)
        else:
            entry.answer.set_result(results[row])
