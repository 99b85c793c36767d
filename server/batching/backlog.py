"""What waits for the engine: callers put entries in from the event loop, lanes take batches out in their own threads.

Of several lanes one waits here for the next batch and the others wait for their turn to: a batch is never divided between two idle
lanes, and the one that leaves with it makes room for the next.
"""

import threading
from bisect import insort
from collections.abc import Callable
from queue import SimpleQueue
from typing import Generic

from server.batching.entries import Entry
from server.batching.items import I, R
from server.batching.policy import Plan, plan


class Backlog(Generic[I, R]):
    """The most urgent first, and the first come of equals."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._arrivals: SimpleQueue[Entry[I, R] | None] = SimpleQueue()  # None: no more will come
        self._turn = threading.Lock()
        self._waiting: list[Entry[I, R]] = []  # by urgency; whose turn it is

    def __len__(self) -> int:
        return self._arrivals.qsize() + len(self._waiting)

    def put(self, entry: Entry[I, R]) -> None:
        """One more waits."""
        self._arrivals.put(entry)

    def close(self) -> None:
        """No more will come: `take` ends when what is here is gone."""
        self._arrivals.put(None)

    def take(self, most: int) -> Plan[Entry[I, R]] | None:
        """Whom to answer now, in up to `most` rows, and whom to tell that it is too late; waits for something, None at the end."""
        with self._turn:
            if not self._receive():
                return None
            decision = plan(self._waiting, self._clock(), most)
            del self._waiting[: decision.seen]
            return decision

    def clear(self) -> list[Entry[I, R]]:
        """Takes out all that waits, for nobody. Only once there is no lane that takes, or while entries come from this thread only."""
        found: list[Entry[I, R]] = []
        if self._turn.acquire(blocking=False):  # otherwise a lane waits here because there is nothing
            try:
                while not self._arrivals.empty():
                    entry = self._arrivals.get()
                    if entry is None:
                        self._arrivals.put(None)
                        break
                    found.append(entry)
                found += self._waiting
                self._waiting.clear()
            finally:
                self._turn.release()
        return found

    def _receive(self) -> bool:
        """Takes in all that has arrived, waiting for something if there is nothing; False when all work is done."""
        while not self._waiting or not self._arrivals.empty():
            entry = self._arrivals.get()
            if entry is None:
                self._arrivals.put(None)  # what arrived before is still to be computed, and other lanes are to know
                return bool(self._waiting)
            if self._waiting and entry.urgency < self._waiting[-1].urgency:
                insort(self._waiting, entry, key=_urgency)
            else:
                self._waiting.append(entry)
        return True


def _urgency(entry: Entry[I, R]) -> float:
    return entry.urgency
