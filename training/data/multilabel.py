"""Pictures that can have several labels, or none: files, and a table of what is on them.

labels.csv is in one of two forms: `file,labels` with the labels of a file between semicolons, or `file` and a column of
0 and 1 for each label. Files are named relative to the table.
"""

import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, ClassVar

import msgspec
import numpy as np

from bundle import strict
from bundle.manifest import Kind
from training.data import files
from training.data.dataset import Dataset
from training.data.files import SPLITS, Listing
from training.errors import DataError
from training.networks.parts import Share

TABLE = "labels.csv"
FILE, LABELS, BETWEEN = "file", "labels", ";"


class Multilabel(strict.Document, frozen=True, tag_field="name", tag="multilabel"):
    """Recipe keys of pictures with labels that do not exclude each other.

    path/{train,validation,test}/labels.csv, or path/labels.csv to be divided by the last three keys.
    """

    path: str
    labels: Annotated[list[str], msgspec.Meta(min_length=2)]  # in the order of the answers
    validation: Share  # of the pictures
    test: Share
    seed: Annotated[int, msgspec.Meta(ge=0)]  # of the division

    kind: ClassVar[Kind] = "multilabel"

    def load(self) -> Dataset:
        """Reads the tables and looks at the files. Raises DataError for what is not there or not of this form."""
        root = files.folder(self.path, f"put the pictures there, and a table {TABLE} of what is on them")
        if files.is_divided(root):
            parts = {name: files.readable(read(root / name / TABLE, self.labels)) for name in SPLITS}
        else:
            listing = files.readable(read(root / TABLE, self.labels))
            parts = files.divided(listing, [*self.labels, "none of the labels"], self.validation, self.test, self.seed)
        return Dataset("multilabel", self.kind, self.labels, {name: part.split for name, part in parts.items()})


def labels_of(path: Path) -> list[str]:
    """All labels of the table at `path`: its columns, or the labels in it by the alphabet. Raises DataError."""
    header, rows = _table(path)
    if header == [FILE, LABELS]:
        return sorted({label for _, row in rows for label in _between(row[1])})
    return header[1:]


def read(path: Path, labels: list[str]) -> Listing:
    """The files of the table at `path` and their `labels`, [N, K] of 0 and 1. Raises DataError, naming the line."""
    header, rows = _table(path)
    if header != [FILE, LABELS] and sorted(header[1:]) != sorted(labels):
        raise DataError(f"{path}: has columns for {header[1:]}, data.labels asks for {labels}")
    of_row = _listed(labels) if header == [FILE, LABELS] else _flags(header, labels)
    found: dict[Path, list[int]] = {}
    for line, row in rows:
        file = path.parent / row[0]
        try:
            if not file.is_file():
                raise ValueError(f"there is no file {file}")
            if file in found:
                raise ValueError(f"{row[0]} is in the table twice")
            found[file] = of_row(row)
        except ValueError as error:
            raise DataError(f"{path}: line {line}: {error}") from error
    return Listing(list(found), np.array(list(found.values()), np.int64).reshape(len(found), len(labels)))


def _listed(labels: list[str]) -> Callable[[list[str]], list[int]]:
    def flags(row: list[str]) -> list[int]:
        given = _between(row[1])
        if unknown := [label for label in given if label not in labels]:
            raise ValueError(f"data.labels has no {unknown[0]!r}; it has {', '.join(labels)}")
        return [int(label in given) for label in labels]

    return flags


def _flags(header: list[str], labels: list[str]) -> Callable[[list[str]], list[int]]:
    columns = [header.index(label) for label in labels]

    def flags(row: list[str]) -> list[int]:
        for column in columns:
            if row[column] not in ("0", "1"):
                raise ValueError(f"column {header[column]}: {row[column]!r} is neither 0 nor 1")
        return [int(row[column]) for column in columns]

    return flags


def _between(text: str) -> list[str]:
    return [label.strip() for label in text.split(BETWEEN) if label.strip()]


def _table(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The header, and each row with the number of its line; all of the same length."""
    try:
        lines = list(_lines(path.read_text(encoding="utf-8-sig")))
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{path}: is no table of text: {error}") from error
    header = lines[0][1] if lines else []
    if header[:1] != [FILE] or len(header) < 2 or len(set(header)) < len(header):
        raise DataError(
            f"{path}: line 1: the columns must be {FILE},{LABELS}, or {FILE} and one for each label; they are {header}"
        )
    for line, row in lines[1:]:
        if len(row) != len(header):
            raise DataError(f"{path}: line {line}: has {len(row)} columns, the first line has {len(header)}")
    return header, lines[1:]


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(text.splitlines(), strict=True)
    for row in reader:
        if row:
            yield reader.line_num, [cell.strip() for cell in row]
