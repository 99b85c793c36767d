"""The pictures that a command line names: files, folders of them, patterns, lists, and standard input."""

import glob
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

STDIN = "-"
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"}


@dataclass(frozen=True)
class Picture:
    """One picture to send; read when its turn comes, so that a large folder does not have to fit in memory."""

    name: str  # as it is shown
    path: Path | None = None
    data: bytes = field(default=b"", repr=False)  # what came in on standard input

    def read(self) -> bytes:
        """The picture file's bytes. Raises OSError."""
        return self.data if self.path is None else self.path.read_bytes()

    def size(self) -> int:
        """The number of those bytes, 0 if it cannot be had."""
        try:
            return len(self.data) if self.path is None else self.path.stat().st_size
        except OSError:
            return 0


def find(names: Iterable[str], listed: Iterable[str] = ()) -> list[Picture]:
    """The pictures that `names`, and then `listed`, stand for, in their order and folders sorted; each file once.

    Folders are searched recursively for the suffixes of pictures, and files are taken whatever they are called. In `names`
    `-` is standard input, and a pattern that is no file's name stands for the files that it matches (`**` is folders at any
    depth), for a shell that did not expand it. Raises ValueError when a folder holds no picture and a pattern matches none.
    """
    found: dict[Path | None, Picture] = {}
    for picture in (*chain.from_iterable(map(_named, names)), *chain.from_iterable(map(_inside, map(Path, listed)))):
        found.setdefault(picture.path, picture)
    return list(found.values())


def read_list(source: str) -> list[str]:
    """The names in a file, or in standard input if `source` is `-`: one a line. Raises OSError, and ValueError for none."""
    data = sys.stdin.buffer.read() if source == STDIN else Path(source).read_bytes()
    names = [os.fsdecode(line) for line in data.splitlines() if line]
    if not names:
        raise ValueError(f"{source}: no names in this list")
    return names


def _named(name: str) -> list[Picture]:
    if name == STDIN:
        return [Picture("stdin", data=sys.stdin.buffer.read())]
    if glob.has_magic(name) and not os.path.lexists(name):
        return _matching(name)
    return _inside(Path(name))


def _matching(pattern: str) -> list[Picture]:
    paths = map(Path, sorted(glob.glob(pattern, recursive=True)))  # noqa: PTH207  # pathlib's has no absolute patterns
    matches = [Picture(str(path), path) for path in paths if path.is_file()]
    if not matches:
        raise ValueError(f"{pattern}: no file matches this pattern")
    return matches


def _inside(path: Path) -> list[Picture]:
    if not path.is_dir():
        return [Picture(str(path), path)]
    files = [file for file in sorted(path.rglob("*")) if file.suffix.lower() in SUFFIXES and file.is_file()]
    if not files:
        raise ValueError(f"{path}: no pictures in this folder; looked for {', '.join(sorted(SUFFIXES))}")
    return [Picture(str(file), file) for file in files]


def batches(pictures: Iterable[Picture], most: int, most_bytes: int) -> Iterator[list[Picture]]:
    """Neighbours together, at most `most` of them and `most_bytes` bytes; a larger one goes alone."""
    batch: list[Picture] = []
    total = 0
    for picture in pictures:
        size = picture.size()
        if batch and (len(batch) == most or total + size > most_bytes):
            yield batch
            batch, total = [], 0
        batch.append(picture)
        total += size
    if batch:
        yield batch
