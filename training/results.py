"""What runs came to, read from their run folders: for comparing runs, and for the shelf's own figures.

Runs of all tasks are read alike, by the keys of run.json that all of them have.
"""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from bundle import run, strict
from bundle.errors import BundleError


class Named(msgspec.Struct, frozen=True):
    """Of a run's data set only its name."""

    name: str


class Result(msgspec.Struct, frozen=True):
    """The keys of run.json that every run has."""

    name: str
    recipe: str
    settings: dict[str, Any]
    dataset: Named
    parameters: int
    epochs: int
    best_epoch: int
    interrupted: bool
    metrics: dict[str, dict[str, float]]  # split -> metric -> figure
    started: str  # ISO 8601, UTC
    seconds: float
    libraries: dict[str, str]


@dataclass(frozen=True)
class Curve:
    """A column of history.csv on the validation split: one figure for each epoch."""

    metric: str
    values: list[float]


def read(folder: Path) -> Result:
    """What the run in `folder` came to; raises BundleError when it is no run folder."""
    return strict.read(folder / run.RUN, Result)


def validation_curve(folder: Path) -> Curve:
    """The validation score over the epochs of the run in `folder`; raises BundleError when its history is not whole."""
    path = folder / run.HISTORY
    try:
        with path.open(newline="") as file:
            rows = csv.DictReader(file)
            columns = [name for name in rows.fieldnames or () if name.startswith("val_") and name != "val_loss"]
            values = [float(row[columns[0]]) for row in rows]
    except (OSError, ValueError, TypeError, IndexError, csv.Error, UnicodeDecodeError) as error:
        raise BundleError(f"{path}: cannot be read: {error}") from error
    return Curve(columns[0].removeprefix("val_"), values)
