"""A file in memory that is closed to a decoder which takes too long.

Pillow cannot be interrupted, but it comes back for every piece of most files: JPEG, PNG, GIF, BMP and raw TIFF. The clock is that of
the thread's own processor time, because a machine that is busy, or was stopped for a while, makes no picture hostile.
"""

import io
import time


class TooLongError(Exception):
    """The reader has had its time. No kind of OSError or ValueError: Pillow takes those for faults of the file and goes on."""


class TimedFile(io.BytesIO):
    """`data`, to be read by this thread for `seconds` of its processor time."""

    def __init__(self, data: bytes, seconds: float) -> None:
        super().__init__(data)
        self.allow(seconds)

    def allow(self, seconds: float) -> None:
        """Begins to count anew."""
        self._seconds = seconds
        self._until = time.thread_time() + seconds
        # Asking for processor time is a system call: not before so much time can have been spent.
        self._look = time.monotonic() + seconds

    def read(self, size: int | None = -1, /) -> bytes:
        """Raises TooLongError when the time is over."""
        if time.monotonic() > self._look and time.thread_time() > self._until:
            raise TooLongError(f"over {self._seconds:g} s")
        return super().read(size)
