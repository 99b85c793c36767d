"""What was read from files, and read again when they change.

Files are compared by what `stat` says of them, which takes a microsecond or two: no threads, no timers, and nothing to miss when
Kubernetes swaps the symbolic link in front of a secret. What cannot be read, or makes no sense, leaves in use what was read before.
"""

import logging
import os
import stat
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from server.config import StartError

log = logging.getLogger(__name__)

T = TypeVar("T")


class FileError(StartError):
    """A file of certificates or tokens cannot be used. `option` names it on the command line."""

    def __init__(self, option: str, path: Path, reason: str) -> None:
        super().__init__(f"{option} {path}: {reason}")
        self.option = option


class Watched(Generic[T]):
    """What `read` makes of the files at `paths`. Safe to use from several threads."""

    def __init__(self, paths: Sequence[Path], read: Callable[[], T]) -> None:
        """Raises FileError, as `read` does."""
        self._paths = paths
        self._read = read
        self._lock = threading.Lock()
        self._seen = self._look()
        self._value = read()

    def current(self) -> T:
        """What the files say now. A problem with them is told in the log, once, and what they said before stays."""
        if self._look() != self._seen:
            with self._lock:
                self._read_again()
        return self._value

    def _read_again(self) -> None:
        seen = self._look()
        if seen == self._seen:
            return  # another thread was faster
        try:
            value = self._read()
        except FileError as error:
            log.error("%s; what was read before stays in use", error)
            self._seen = seen
            return
        if self._look() == seen:  # else they changed under our eyes and may not fit together: the next one looks again
            self._seen, self._value = seen, value
            log.info("read again: %s", ", ".join(map(str, self._paths)))

    def _look(self) -> list[tuple[int, int, int] | None]:
        return [_state(path) for path in self._paths]


def _state(path: Path) -> tuple[int, int, int] | None:
    """What changes with a file's contents; None when there is no file."""
    try:
        found = os.stat(path)  # noqa: PTH116  Path.stat takes twice as long
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def read_bytes(option: str, path: Path) -> bytes:
    """Raises FileError."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise FileError(option, path, f"cannot be read: {error.strerror}") from error


def read_secret(option: str, path: Path) -> bytes:
    """Raises FileError, also when every user of this machine could replace the secret by his own."""
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & stat.S_IWOTH:
                raise FileError(option, path, "every user of this machine can write it; chmod o-w")
            return file.read()
    except OSError as error:
        raise FileError(option, path, f"cannot be read: {error.strerror}") from error
