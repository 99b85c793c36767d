"""The pictures that a command line names: files, folders of them, and standard input."""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
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


def find(names: Iterable[str]) -> list[Picture]:
    """The pictures that `names` stand for, in their order and folders sorted; each file once.

    Folders are searched recursively for the suffixes of pictures, files are taken whatever they are called, and `-` is
    standard input. Raises ValueError when a folder holds no picture.
    """
    found: dict[str, Picture] = {}
    for name in names:
        if name == STDIN:
            found.setdefault(name, Picture("stdin", data=sys.stdin.buffer.read()))
        else:
            for path in _files(Path(name)):
                found.setdefault(str(path), Picture(str(path), path))
    return list(found.values())


def _files(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    inside = [file for file in sorted(path.rglob("*")) if file.suffix.lower() in SUFFIXES and file.is_file()]
    if not inside:
        raise ValueError(f"{path}: no pictures in this folder; looked for {', '.join(sorted(SUFFIXES))}")
    yield from inside


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
