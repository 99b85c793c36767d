"""One caller's question on its way through a batcher, and the way back of its answer."""

import asyncio
from collections.abc import Hashable, Sequence
from typing import Generic

from msgspec import Struct

from server.batching.items import I, R
from server.errors import ServerError


class Output(Struct, Generic[R], frozen=True):
    """The answer to one item, and what it cost in seconds."""

    result: R
    queue_seconds: float
    infer_seconds: float
    batch_rows: int


class Entry(Struct, Generic[I, R], frozen=True):
    """An item that waits, and who waits for it."""

    item: I
    rows: int
    shape: Hashable
    deadline: float | None
    submitted: float
    urgency: float  # the smaller, the sooner: when it came, with its priority's head start
    answer: asyncio.Future[Output[R]]

    @property
    def abandoned(self) -> bool:
        """True when nobody waits for the answer any more."""
        return self.answer.cancelled()


def settle(entries: Sequence[Entry[I, R]], results: ServerError | Sequence[Output[R]]) -> None:
    """Gives each entry its result, or all of them the error; event loop only. Who left in the meantime is skipped."""
    for row, entry in enumerate(entries):
        if entry.answer.done():
            continue
        if isinstance(results, ServerError):
            entry.answer.set_exception(results)
        else:
            entry.answer.set_result(results[row])
