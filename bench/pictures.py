"""A folder of test pictures with truth.csv, as `python -m training pictures` writes it."""

import csv
from dataclasses import dataclass
from pathlib import Path

from client.pictures import Picture

TRUTH = "truth.csv"
_BOX = ("left", "top", "right", "bottom")


@dataclass(frozen=True)
class Labelled:
    """One picture and what is known about it."""

    picture: Picture
    label: str
    box: tuple[float, float, float, float] | None  # left, top, right, bottom in pixels; right and bottom are outside


def read(folder: Path) -> list[Labelled]:
    """The pictures that `folder`/truth.csv lists, in its order.

    Raises OSError when it cannot be read, ValueError when it lacks a column or lists nothing.
    """
    table = folder / TRUTH
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows or not {"file", "label"} <= rows[0].keys():
        raise ValueError(f"{table}: expected the columns file and label and at least one row")
    return [Labelled(Picture(str(folder / row["file"]), folder / row["file"]), row["label"], _box(row)) for row in rows]


def _box(row: dict[str, str]) -> tuple[float, float, float, float] | None:
    if not all(row.get(name) for name in _BOX):
        return None
    left, top, right, bottom = (float(row[name]) for name in _BOX)
    return left, top, right, bottom
