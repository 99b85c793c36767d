"""The threads that decode and draw, in two lanes, so that large pictures keep nobody else waiting.

Pillow cannot be interrupted, and a few pictures at the limits, each of which takes seconds, would hold every thread. So each picture
is tried in the light lane first, where only so much work is done for one; what turns out to be more goes to the heavy lane and waits
for its like. Which one it is shows in the header: trying costs next to nothing.

The heavy lane has fewer threads also because of memory: a picture of 50 million pixels takes up to 1.2 GiB while it is decoded.
"""

import asyncio
import contextlib
import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

from bundle.errors import HeavyPictureError
from bundle.limits import Limits
from server.batching.estimate import RunningMean

# What may hold up others: about as long as the largest photograph of a telephone takes.
_LIGHT_PIXELS = 16_000_000
_LIGHT_SECONDS = 0.5

# Weight of the newest picture in the running mean of their time.
_NEWEST = 0.1

T = TypeVar("T")


class Workers:
    """Runs what opens pictures; one for all services of a process."""

    def __init__(self, threads: int, limits: Limits, clock: Callable[[], float]) -> None:
        """`threads` for the light lane, half as many but one at least for the heavy one."""
        self._threads = threads
        self._limits = limits
        self._clock = clock
        self._behind = 0  # pictures that wait or are in work in the light lane
        self._seconds = RunningMean(_NEWEST)  # that one takes there
        self._light_limits = replace(limits, work=_LIGHT_PIXELS, seconds=min(_LIGHT_SECONDS, limits.seconds))
        self._light = ThreadPoolExecutor(threads, thread_name_prefix="decode")
        self._heavy = ThreadPoolExecutor(math.ceil(threads / 2), thread_name_prefix="decode-heavy")

    @property
    def wait_seconds(self) -> float:
        """About how long it takes until a picture that comes now is begun in the light lane."""
        return self._behind * self._seconds.value / self._threads if self._behind >= self._threads else 0.0

    async def run(self, work: Callable[[Limits], T]) -> T:
        """What `work` returns within the limits that it is given, from a thread. Raises what it raises, but HeavyPictureError."""
        loop = asyncio.get_running_loop()
        try:
            with self._waiting():
                result, seconds = await loop.run_in_executor(self._light, self._timed, work)
            self._seconds.add(seconds)
            return result
        except HeavyPictureError:
            return await loop.run_in_executor(self._heavy, work, self._limits)

    def close(self) -> None:
        """Ends the threads, after what they are doing."""
        for lane in (self._light, self._heavy):
            lane.shutdown()

    @contextlib.contextmanager
    def _waiting(self) -> Iterator[None]:
        self._behind += 1
        try:
            yield
        finally:
            self._behind -= 1

    def _timed(self, work: Callable[[Limits], T]) -> tuple[T, float]:
        started = self._clock()
        result = work(self._light_limits)
        return result, self._clock() - started
