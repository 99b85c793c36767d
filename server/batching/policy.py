"""The batching policy, as a pure function of what waits, the time and the limits.

It is work-conserving: an idle engine takes what is there at once, and while it runs the next batch gathers by itself. There
is no timer, so a lone request waits for nobody, and batches grow exactly when the engine is the bottleneck. First come,
first served; whose deadline has passed or whose caller is gone is never computed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar


class Waiting(Protocol):
    """What the policy looks at."""

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
    """Decides about the front of `queue`, oldest first, for an engine that is free `now` and takes up to `most`."""
    take: list[T] = []
    expired: list[T] = []
    seen = 0
    for entry in queue:
        if len(take) == most:
            break
        seen += 1
        if entry.abandoned:
            continue
        if entry.deadline is not None and entry.deadline <= now:
            expired.append(entry)
        else:
            take.append(entry)
    return Plan(take, expired, seen)


def padded_size(images: int, buckets: Sequence[int]) -> int:
    """The smallest of the ascending `buckets` that holds `images`; `images` itself when there are none."""
    return next((size for size in buckets if size >= images), images)
