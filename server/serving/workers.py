"""The threads that decode and draw, and how far behind they are."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

# Weight of the newest task in the running mean of their time.
_NEWEST = 0.1


class Workers:
    """A pool of threads. It belongs to the event loop's thread."""

    def __init__(self, threads: int, clock: Callable[[], float]) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")
        self._threads = threads
        self._clock = clock
        self._behind = 0  # tasks that wait or are in work
        self._seconds = 0.0  # that a task takes; 0 before the first

    @property
    def wait_seconds(self) -> float:
        """About how long they have to do until a task that comes now is begun."""
        return self._behind * self._seconds / self._threads if self._behind >= self._threads else 0.0

    async def run(self, function: Callable[..., T], *arguments: object) -> T:
        """What `function` returns or raises. When the call is cancelled before it was begun, it never is."""
        self._behind += 1
        try:
            result, seconds = await asyncio.get_running_loop().run_in_executor(
                self._pool, self._timed, function, *arguments
            )
        finally:
            self._behind -= 1
        self._seconds = self._seconds + _NEWEST * (seconds - self._seconds) if self._seconds else seconds
        return result

    def close(self) -> None:
        """Ends the threads when they have done what they have."""
        self._pool.shutdown()

    def _timed(self, function: Callable[..., T], *arguments: object) -> tuple[T, float]:
        started = self._clock()
        result = function(*arguments)
        return result, self._clock() - started
