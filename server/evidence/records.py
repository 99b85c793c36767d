"""Records on disk: a picture and what was answered, one pair of files each, the oldest of which make room for new ones.

    DIR/MODEL/VERSION/2026-01-31/LABEL/101403.512345-1-17-REQUEST.jpg      the picture
    DIR/MODEL/VERSION/2026-01-31/LABEL/101403.512345-1-17-REQUEST.json     one line: what was answered

A folder for each answer is how people correct answers: look through a folder, move what does not belong there, train with the result. One
line in each JSON file makes an index of all by `cat`. A picture's line appears after the picture, both by renaming, so whoever finds a
line finds a whole picture.

Names begin with the time of day in UTC, the number of the process that wrote them, and its own count. The processes of a server
divide the room among them by these numbers, and each removes only what is its own: nothing has to be agreed upon while they write.
"""

import contextlib
import fcntl
import logging
import os
import re
from collections.abc import Iterator
from datetime import datetime
from itertools import count
from pathlib import Path
from urllib.parse import quote

import msgspec
from msgspec import Struct

log = logging.getLogger(__name__)

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_NAME = re.compile(r"\.?\d{6}\.\d{6}-(\d+)-.*", re.ASCII)
_LINE = ".json"
_BLOCK = 4096  # what file systems round up to
# Room is made for more than one record at a time: a day has to be listed to find its oldest.
_SPARE = 1 / 16
_LONGEST_NAME = 100


class Prediction(Struct):
    """A class and its probability, 0..1."""

    label: str
    index: int
    probability: float


class Line(Struct):
    """What the JSON file says."""

    time: str  # RFC 3339, UTC
    request_id: str
    model: str
    version: int
    fingerprint: str  # SHA-256 of the bundle's manifest
    picture: str  # name of the file beside this one
    size_bytes: int
    original: bool  # the file as it came; otherwise the model's input, as PNG
    label: str
    confidence: float  # its probability
    predictions: list[Prediction]  # the most probable ones


class Records:
    """A folder of records that one process writes to, within its part of a bound."""

    def __init__(self, root: Path, max_bytes: int, processes: int) -> None:
        """`max_bytes` are for all `processes` of a server together. Raises OSError."""
        self._root = root
        self._processes = processes
        self._max_bytes = max_bytes // processes
        self._held, self._number = self._claim()
        if self._number > processes:
            log.warning("another server records into %s: until it ends, together they may keep twice as much", root)
        self._counted = count(1)
        # Bytes of this process's records by day; None before the first record, so that a large folder does not hold up the start.
        self._days: dict[str, int] | None = None

    def write(self, line: Line, picture: bytes, suffix: str, at: datetime) -> None:
        """Adds a record; fills in `line` what concerns its files. Raises OSError, and ValueError for what is larger than the bound."""
        day = at.strftime("%Y-%m-%d")
        name = f"{at.strftime('%H%M%S.%f')}-{self._number}-{next(self._counted)}-{safe_name(line.request_id)}"
        line.picture, line.size_bytes = name + suffix, len(picture)
        text = msgspec.json.encode(line) + b"\n"
        size = _on_disk(len(picture)) + _on_disk(len(text))
        if self._days is None:
            self._days = self._scan()
        self._make_room(self._days, size)
        folder = self._root / safe_name(line.model) / str(line.version) / day / safe_name(line.label)
        try:
            self._write_pair(folder, name, suffix, picture, text)
        except FileNotFoundError:  # another process found the folder empty and removed it
            self._write_pair(folder, name, suffix, picture, text)
        self._days[day] = self._days.get(day, 0) + size

    def _write_pair(self, folder: Path, name: str, suffix: str, picture: bytes, text: bytes) -> None:
        _make_private(folder, self._root)
        _write_whole(folder / f"{name}{suffix}", picture)
        try:
            _write_whole(folder / f"{name}{_LINE}", text)
        except OSError:
            (folder / f"{name}{suffix}").unlink(missing_ok=True)
            raise

    def close(self) -> None:
        """Leaves the folder to others; the end of the process does the same."""
        os.close(self._held)

    def _claim(self) -> tuple[int, int]:
        """The lowest number from 1 that no living process has, and the open file that holds it."""
        for number in count(1):
            held = os.open(self._root / f".writer-{number}", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(held)
            else:
                return held, number
        raise AssertionError("numbers do not end")

    def _scan(self) -> dict[str, int]:
        """Bytes of this process's records by day. What a crash has left unfinished is removed."""
        found: dict[str, int] = {}
        for day in self._root.glob("*/*/*/"):
            for path in self._own_files(day):
                with contextlib.suppress(FileNotFoundError):
                    if path.name.startswith("."):
                        path.unlink()
                    else:
                        found[day.name] = found.get(day.name, 0) + _on_disk(path.stat().st_size)
        return found

    def _own_files(self, day: Path) -> Iterator[Path]:
        if _DAY.fullmatch(day.name) is None:
            return
        for path in day.glob("*/*"):
            name = _NAME.fullmatch(path.name)
            if name is not None and (int(name[1]) - self._number) % self._processes == 0:
                yield path

    def _make_room(self, days: dict[str, int], size: int) -> None:
        if size > self._max_bytes:
            raise ValueError(f"a record of {size} bytes is larger than the bound of {self._max_bytes}")
        used = sum(days.values())
        if used + size <= self._max_bytes:
            return
        wanted = used + size - self._max_bytes + int(self._max_bytes * _SPARE)
        while wanted > 0 and days:
            day = min(days)
            freed, is_empty = self._shrink(day, wanted)
            wanted -= freed
            days[day] -= freed
            if is_empty:
                del days[day]

    def _shrink(self, day: str, wanted: int) -> tuple[int, bool]:
        """Removes the oldest records of a day: the bytes that are free now, `wanted` or more, or whether nothing is left."""
        folders = list(self._root.glob(f"*/*/{day}/"))
        # A record's line goes before its picture.
        paths = sorted((path for folder in folders for path in self._own_files(folder)), key=_age)
        freed = 0
        for path in paths:
            if freed >= wanted and path.suffix == _LINE:
                return freed, False
            with contextlib.suppress(FileNotFoundError):
                freed += _on_disk(path.stat().st_size)
                path.unlink()
        for folder in folders:
            _remove_empty(folder)
        return freed, True


def safe_name(text: str) -> str:
    """`text` as the name of one file or folder, whatever it is: of letters, digits, spaces and . _ - ~ %, neither hidden nor empty."""
    cut = quote(text, safe=" ", errors="replace")[:_LONGEST_NAME]
    return cut.replace(".", "%2E", 1) if cut.startswith(".") else cut or "%"


def _age(path: Path) -> tuple[str, bool]:
    return path.stem, path.suffix != _LINE


def _on_disk(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


def _make_private(folder: Path, root: Path) -> None:
    """Makes a folder below `root`, and each on the way there, for this user only."""
    if not folder.is_dir():
        for each in reversed([folder, *folder.parents[: len(folder.relative_to(root).parts)]]):
            each.mkdir(mode=0o700, exist_ok=True)


def _write_whole(path: Path, data: bytes) -> None:
    """Writes a file for this user only, which has its name when it is whole. Raises OSError."""
    partial = path.with_name(f".{path.name}")
    try:
        with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:  # noqa: PTH123  for its mode
            file.write(data)
        partial.rename(path)
    except OSError:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise


def _remove_empty(day: Path) -> None:
    for folder in (*day.glob("*/"), day):
        with contextlib.suppress(OSError):
            folder.rmdir()
