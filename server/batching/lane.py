"""One engine and the thread that feeds it, batch after batch.

The thread takes the next batch itself, at the moment when the engine is free: a batch stays open as long as possible, and no trip
through the event loop lies between two runs.

A run that fails, fails its batch alone; the engine is then built anew before the next one, because nobody knows in which state the
library left it. A batch that does not fit into memory is halved and tried again. A thread whose run never ends cannot be stopped: the
batcher gives it up, with its engine, and starts another lane.
"""

import logging
import threading
from collections.abc import Callable
from enum import StrEnum
from typing import Generic, Protocol

from server.batching.backlog import Backlog
from server.batching.entries import Entry, Output
from server.batching.items import Form, I, R
from server.batching.policy import padded_size
from server.engine.base import Engine, OutOfMemoryError
from server.errors import DeadlineError, InternalError, OverloadedError, ServerError

log = logging.getLogger(__name__)

# When a single item did not fit into memory, others may have gone by then.
_MEMORY_RETRY_SECONDS = 1.0
_NO_MEMORY = "the engine has too little memory for the request now; send fewer images at a time"


class Fault(StrEnum):
    """What went wrong with an engine."""

    RAISED = "raised"
    HUNG = "hung"
    MEMORY = "memory"
    REBUILD = "rebuild"


Results = ServerError | list[Output[R]]
Answered = tuple[list[Entry[I, R]], Results[R]]


class Supervision(Protocol[I, R]):
    """What a lane tells and asks, all of it from its own thread."""

    def deliver(self, entries: list[Entry[I, R]], results: Results[R]) -> None:
        """The answers of a batch."""

    def ran(self, rows: int, seconds: float) -> None:
        """The engine ran once."""

    def fault(self, fault: Fault) -> None:
        """Something went wrong."""

    def rebuilt(self) -> Engine | None:
        """A new engine in place of one that failed, when there is one that works; None when it is no longer needed."""
        ...

    def ended(self, lane: "Lane[I, R]") -> None:
        """The thread has done all its work."""


class Lane(Generic[I, R]):
    """An engine and its thread. Without an engine the thread begins by building one."""

    def __init__(
        self,
        engine: Engine | None,
        form: Form[I, R],
        max_batch: int,
        backlog: Backlog[I, R],
        clock: Callable[[], float],
        supervision: Supervision[I, R],
        name: str,
    ) -> None:
        self.free = threading.Lock()  # a caller who left does not free the engine of his batch
        self.run: object | None = None  # the run that is under way; another one is another object
        self.given_up = False
        self._engine = engine
        self._form = form
        self._most = max_batch
        self._backlog = backlog
        self._clock = clock
        self._supervision = supervision
        self.batch: list[Entry[I, R]] = []  # what was taken and is not delivered yet
        threading.Thread(target=self._work, name=f"engine {name}", daemon=True).start()

    @property
    def has_engine(self) -> bool:
        """False from the moment when the engine failed until there is another one."""
        return self._engine is not None

    @property
    def computes_at_once(self) -> bool:
        """Whether `answer` may be called from elsewhere: a GPU wants batches, and a broken engine a new one."""
        return self._engine is not None and self._engine.device == "cpu"

    def answer(self, entries: list[Entry[I, R]]) -> list[Answered[I, R]]:
        """What comes of running the engine on `entries`, once if all goes well. Whoever calls has `free`."""
        try:
            return [(entries, self._compute(entries))]
        except OutOfMemoryError as error:
            return self._answer_halves(entries, error)
        except Exception:  # whatever the engine's library raises, its callers must hear of it
            log.exception("the engine failed on a batch of %d", _rows(entries))
            self._supervision.fault(Fault.RAISED)
            self._engine = None
            return [(entries, InternalError("the engine failed on this batch"))]

    def _answer_halves(self, entries: list[Entry[I, R]], error: OutOfMemoryError) -> list[Answered[I, R]]:
        """As `answer`, for a batch that did not fit into memory; those to come are made smaller too."""
        self._supervision.fault(Fault.MEMORY)
        rows = _rows(entries)
        self._most = max(1, min(self._most, rows // 2))
        if len(entries) > 1:
            log.warning("%d rows do not fit into memory, trying %d: %s", rows, self._most, error)
            half = len(entries) // 2
            return [*self.answer(entries[:half]), *self.answer(entries[half:])]
        log.error("%d rows do not fit into memory: %s", rows, error)
        self._engine = None  # its memory may be in pieces
        return [(entries, OverloadedError(_NO_MEMORY, _MEMORY_RETRY_SECONDS))]

    def _work(self) -> None:
        while self._has_engine() and (decision := self._backlog.take(self._most)) is not None:
            if decision.expired:
                late = DeadlineError("the deadline passed while the request waited for the engine")
                self._supervision.deliver(decision.expired, late)
            if decision.take:
                self.batch = decision.take
                with self.free:
                    answered = self.answer(decision.take)
                for entries, results in answered:
                    self._supervision.deliver(entries, results)
                self.batch = []
            if self.given_up:
                return
        self._supervision.ended(self)

    def _has_engine(self) -> bool:
        """Builds one where there is none, for as long as it takes; False when it is no longer needed."""
        if self._engine is None:
            self._engine = self._supervision.rebuilt()
        return self._engine is not None and not self.given_up

    def _compute(self, entries: list[Entry[I, R]]) -> list[Output[R]]:
        if not self._has_engine() or self._engine is None:  # it has failed since the batch was taken
            raise RuntimeError("no engine in place of the one that failed")
        engine = self._engine
        started = self._clock()
        items = [entry.item for entry in entries]
        rows = _rows(entries)
        self.run = items
        try:
            run = self._form.assemble(items, padded_size(rows, engine.buckets))
            results = self._form.split(items, engine.run(run.feeds, run.wanted))
        finally:
            self.run = None
        seconds = self._clock() - started
        self._supervision.ran(rows, seconds)
        parts = zip(entries, results, strict=True)
        return [Output(result, started - entry.submitted, seconds, rows) for entry, result in parts]


def _rows(entries: list[Entry[I, R]]) -> int:
    return sum([entry.rows for entry in entries])
