"""Feeds engines, batch after batch, from what the event loop submits, and sees to it that every caller hears something.

Each engine is in a lane of its own, with its thread; there is one unless more are asked for. Answers go back in one call per batch.
The batcher stays in the event loop and watches: it gives up a lane whose run does not end, has broken engines built anew, and refuses
everybody when that has not helped several times in a row.

The way to a thread and back takes longer than a tiny network on a CPU does: what such a network needs less than half a
millisecond for, while it has nothing else to do, the event loop computes itself, at once.
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol

from server.batching.backlog import Backlog
from server.batching.entries import Entry, Output, settle
from server.batching.estimate import RunningMean
from server.batching.items import Form, I, R
from server.batching.lane import Fault, Lane, Results
from server.batching.policy import HEAD_START_SECONDS, Priority
from server.engine.base import Engine
from server.errors import InternalError, ServerError, UnavailableError

log = logging.getLogger(__name__)

# Weight of the newest batch in the running mean of the time per row.
_NEWEST = 0.2
# The event loop may be held up for so long, to spare a lone item the way to the engine's thread.
_AT_ONCE_SECONDS = 0.0005
# So many faults in a row, and the model is out of service until an engine works again.
_PATIENCE = 3
# How long to wait before the next attempt to build an engine, at first and at most.
_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 1.0, 30.0
# A run is looked at so many times before it is given up. Looks are counted instead of time, so that a process that was stopped for a
# while does not blame its engine for it.
_LOOKS = 8
# After so many looks without a run, the engine is asked a question of our own: whether it still answers is to be known before the
# next caller comes.
_IDLE_LOOKS = 4

_CLOSED = "the model is out of service; try again or ask another server"


class Listener(Protocol):
    """Hears what happens to the engines of a model. `ran` is called in an engine's thread, the others in the event loop."""

    def ran(self, rows: int, seconds: float) -> None:
        """An engine ran once."""

    def fault(self, fault: Fault) -> None:
        """Something went wrong with an engine."""

    def failing(self, reason: str) -> None:
        """The engines fail again and again, or with an empty `reason`: no longer."""


@dataclass(frozen=True)
class Limits:
    """Of the runs of an engine."""

    max_batch: int  # rows in one run
    run_seconds: float  # a run that takes longer has failed


class Batcher(Generic[I, R]):
    """Batches items for the engines of a model. Create it inside a running event loop; `submit` belongs to that loop."""

    def __init__(
        self,
        engines: Sequence[Engine],
        make_form: Callable[[], Form[I, R]],
        limits: Limits,
        rebuild: Callable[[], Engine],
        canary: I,
        listener: Listener,
        clock: Callable[[], float],
        name: str,
    ) -> None:
        """`rebuild` makes an engine like the others, in any thread, or raises; `canary` is a question for engines that have been idle;
        `clock` gives seconds on the scale of deadlines."""
        self.max_batch = limits.max_batch
        self._make_form = make_form
        self._limits = limits
        self._rebuild = rebuild
        self._canary = canary
        self._listener = listener
        self._clock = clock
        self._name = name
        self._loop = asyncio.get_running_loop()
        self._backlog: Backlog[I, R] = Backlog(clock)
        self._behind = 0  # rows of callers who wait; the event loop alone
        self._refusal = ""  # why nobody is taken in
        self._closing = threading.Event()
        self._faults = 0  # since the last good batch; the event loop alone
        self._seconds_per_row = RunningMean(_NEWEST)
        self._runs = 0
        self._lanes = [self._lane(engine) for engine in engines]
        self._ended = asyncio.Event()  # of all lanes
        self._asking: asyncio.Task[None] | None = None
        self._watching = self._loop.create_task(self._watch())

    @property
    def queued(self) -> int:
        """Items that wait for the engine now."""
        return len(self._backlog)

    @property
    def wait_seconds(self) -> float:
        """About how long the engines have to do until all is answered that waits now; 0 before the first batch."""
        return self._behind * self._seconds_per_row.value / max(1, len(self._lanes))

    async def submit(
        self, item: I, deadline: float | None, *, lone: bool = False, priority: Priority = Priority.NORMAL
    ) -> Output[R]:
        """Waits for the engine's answer to one item; a `lone` one has no companions that come at the same moment.

        Cancelling the call takes it out of the queue. Raises DeadlineError when `deadline` passes in the queue,
        InternalError when the engine fails, OverloadedError when it has not the memory, UnavailableError after `close` and while
        the engine fails again and again.
        """
        if self._refusal:
            raise UnavailableError(self._refusal)
        now, rows = self._clock(), item.rows
        urgency = now - HEAD_START_SECONDS[priority]
        entry: Entry[I, R] = Entry(item, rows, item.shape, deadline, now, urgency, self._loop.create_future())
        if lone and not self._behind and self._is_tiny(rows) and self._answered_at_once(entry):
            return await entry.answer
        self._behind += rows
        try:
            self._backlog.put(entry)
            return await entry.answer
        finally:
            self._behind -= rows

    async def close(self) -> None:
        """Finishes what is queued, then frees the engines. A run that does not end is given up as at any other time."""
        if not self._closing.is_set():
            self._refusal = _CLOSED
            self._closing.set()
            self._backlog.close()
        await self._ended.wait()
        self._watching.cancel()

    # What lanes tell and ask, in their own threads.

    def deliver(self, entries: list[Entry[I, R]], results: Results[R]) -> None:
        """Takes the answers of a batch to those who wait."""
        self._in_loop(self._settle, entries, results)

    def ran(self, rows: int, seconds: float) -> None:
        """Counts a run."""
        self._runs += 1
        self._seconds_per_row.add(seconds / rows)
        self._listener.ran(rows, seconds)

    def fault(self, fault: Fault) -> None:
        """Counts a fault."""
        self._in_loop(self._count, fault)

    def rebuilt(self) -> Engine | None:
        """A new engine; tries until there is one, less and less often."""
        wait = 0.0 if self._faults < _PATIENCE else _FIRST_WAIT_SECONDS
        while not self._closing.wait(wait):
            try:
                engine = self._rebuild()
            except Exception:  # of the library, or the bundle is gone
                log.exception("%s: the engine cannot be built anew", self._name)
                self.fault(Fault.REBUILD)
                wait = min(2 * wait or _FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS)
            else:
                log.info("%s: the engine was built anew", self._name)
                self._in_loop(self._recover)
                return engine
        return None

    def ended(self, lane: Lane[I, R]) -> None:
        """A lane has done all its work."""
        self._in_loop(self._drop, lane)

    # In the event loop.

    def _is_tiny(self, rows: int) -> bool:
        """Whether the engine is known to need next to nothing for so many rows."""
        return 0 < rows * self._seconds_per_row.value < _AT_ONCE_SECONDS

    def _answered_at_once(self, entry: Entry[I, R]) -> bool:
        """Computes an entry here, if an engine is free that may be used so."""
        lane = self._lanes[0]
        if not lane.computes_at_once or not lane.free.acquire(blocking=False):
            return False
        try:
            answered = lane.answer([entry])
        finally:
            lane.free.release()
        for entries, results in answered:
            self._settle(entries, results)
        return True

    def _settle(self, entries: list[Entry[I, R]], results: Results[R]) -> None:
        if self._faults and not isinstance(results, ServerError):
            self._faults = 0
            self._recover()
        settle(entries, results)

    def _count(self, fault: Fault) -> None:
        self._listener.fault(fault)
        self._faults += 1
        if self._faults >= _PATIENCE:
            self._refuse(f"the engine failed {self._faults} times in a row and is built anew; ask another server")

    def _refuse(self, reason: str) -> None:
        """Takes nobody in any more, and sends those away who wait."""
        if not self._refusal:
            self._refusal = reason
            log.error("%s: %s", self._name, reason)
            self._refuse_all()
            self._listener.failing(reason)

    def _recover(self) -> None:
        """Takes callers in again. One more fault before the first good batch, and they are refused again."""
        if self._refusal and not self._closing.is_set():
            self._refusal = ""
            self._listener.failing("")

    def _refuse_all(self) -> None:
        settle(self._backlog.clear(), UnavailableError(self._refusal))

    async def _watch(self) -> None:
        """Gives up every lane whose run does not end, and sees to it that there are runs."""
        looks: dict[Lane[I, R], tuple[object, int]] = {}
        idle, runs, broken = 0, 0, 0
        while True:
            await asyncio.sleep(self._limits.run_seconds / _LOOKS)
            looks = {lane: (lane.run, self._seen(lane.run, looks.get(lane))) for lane in self._lanes}
            for lane, (_, count) in looks.items():
                if count > _LOOKS:
                    self._give_up(lane)
            broken = 0 if any(lane.has_engine for lane in self._lanes) else broken + 1
            if broken == _LOOKS:
                self._refuse("the engine failed and building it anew takes long; ask another server")
            idle, runs = (idle + 1 if runs == self._runs else 0), self._runs
            if idle >= _IDLE_LOOKS and not self._behind:
                self._asking = self._loop.create_task(self._ask())

    @staticmethod
    def _seen(run: object | None, before: tuple[object, int] | None) -> int:
        """How often this very run was under way before."""
        return before[1] + 1 if run is not None and before is not None and before[0] is run else 0

    async def _ask(self) -> None:
        """Faults are counted where they happen."""
        with contextlib.suppress(ServerError):
            await self.submit(self._canary, None)

    def _give_up(self, lane: Lane[I, R]) -> None:
        lane.given_up = True
        seconds = self._limits.run_seconds
        log.error("%s: a run of the engine has not ended after %g s, it is given up", self._name, seconds)
        settle(lane.batch, InternalError(f"the engine did not answer within {seconds:g} s"))
        self._lanes.remove(lane)
        self._lanes.append(self._lane(None))
        self._count(Fault.HUNG)

    def _drop(self, lane: Lane[I, R]) -> None:
        with contextlib.suppress(ValueError):  # it was given up before
            self._lanes.remove(lane)
        if not self._lanes:
            self._refuse_all()  # the last engine was gone before the last caller
            self._ended.set()

    def _lane(self, engine: Engine | None) -> Lane[I, R]:
        return Lane(engine, self._make_form(), self.max_batch, self._backlog, self._clock, self, self._name)

    def _in_loop(self, function: Callable[..., None], *arguments: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended, and with it all who waited
            self._loop.call_soon_threadsafe(function, *arguments)
