"""The batching policy, as a pure function of what waits, the time and the limits.

It is work-conserving: an idle engine takes what is there at once, and while it runs the next batch gathers by itself. There
is no timer, so a lone request waits for nobody, and batches grow exactly when the engine is the bottleneck. First come,
first served, except that priorities have a head start; whose deadline has passed or whose caller is gone is never computed.
"""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, Protocol, TypeVar


class Priority(StrEnum):
    """How urgent a request is, in its caller's opinion."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


# A request is served as if it had come so many seconds earlier: the urgent ones overtake, but nobody waits for ever.
HEAD_START_SECONDS = {Priority.HIGH: 10.0, Priority.NORMAL: 0.0, Priority.LOW: -10.0}


class Waiting(Protocol):
    """What the policy looks at."""

    @property
    def rows(self) -> int:
        """How much room it takes in a batch."""

    @property
    def shape(self) -> Hashable:
        """Only entries of equal shape share a batch."""

    @property
    def deadline(self) -> float | None:
        """Time after which the answer is worthless; None if it always has worth."""

    @property
    def abandoned(self) -> bool:
        """True when nobody waits for the answer any more."""


T = TypeVar("T", bound=Waiting)


@dataclass(frozen=True)
class Plan(Generic[T]):
    """The decision: `take` runs now, `expired` is told so; `seen` entries from the front of the queue are settled."""

    take: list[T]
    expired: list[T]
    seen: int


def plan(queue: Iterable[T], now: float, most: int) -> Plan[T]:
    """Decides about the front of `queue`, the most urgent first, for an engine that is free `now` and takes up to `most` rows.

    A batch ends before the first entry that does not fit: nobody is overtaken. The first always fits.
    """
    take: list[T] = []
    expired: list[T] = []
    seen = rows = 0
    for entry in queue:
        late = entry.deadline is not None and entry.deadline <= now
        if late and not entry.abandoned:
            expired.append(entry)
        elif not entry.abandoned:
            if take and (rows + entry.rows > most or entry.shape != take[0].shape):
                break
            take.append(entry)
            rows += entry.rows
        seen += 1
        if rows >= most:
            break
    return Plan(take, expired, seen)


def padded_size(rows: int, buckets: Sequence[int]) -> int:
    """The smallest of the ascending `buckets` that holds `rows`; `rows` itself when there are none."""
    return next((size for size in buckets if size >= rows), rows)
