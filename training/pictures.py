"""A split of a data set as ordinary picture files with their truth beside them, for whoever sends files to a server."""

import csv
from pathlib import Path

import numpy as np

from bundle import files
from training.data.dataset import Dataset, Split, SplitName, balanced
from training.data.multilabel import BETWEEN
from training.progress import bar

TRUTH = "truth.csv"
_EDGES = ("left", "top", "right", "bottom")


def write(dataset: Dataset, name: SplitName, out: Path, count: int | None, seed: int) -> int:
    """Writes the original pictures of a split as PNG files into the new folder `out`; returns how many.

    A file is called by its position in the split and its label, for example 00012-sneaker.png. truth.csv has one row per
    file: file, label, class_index, and, where the data set knows boxes, left, top, right, bottom in pixels (right and
    bottom just outside), empty where there is nothing to find. `count` takes an even sample of all classes, another one
    for each `seed`; None takes all. Raises FileExistsError when `out` is there.
    """
    split = dataset.splits[name]
    members = balanced(split.labels, len(split.labels) if count is None else count, seed)
    with files.atomic_folder(out) as partial, bar() as progress, (partial / TRUTH).open("w", newline="") as file:
        rows = csv.DictWriter(
            file, ["file", "label", "class_index", *(_EDGES if split.box else ())], lineterminator="\n"
        )
        rows.writeheader()
        for member in progress.track(members.tolist(), description="pictures"):
            row = _row(split, member, dataset.labels)
            split.pictures[member].save(partial / str(row["file"]))
            rows.writerow(row)
    return len(members)


def _row(split: Split, member: int, labels: list[str]) -> dict[str, object]:
    classes = np.flatnonzero(split.labels[member]) if split.labels.ndim == 2 else [int(split.labels[member])]
    label = BETWEEN.join(labels[number] for number in classes)
    row: dict[str, object] = {
        "file": f"{member:05}-{label.replace(' ', '-').replace(BETWEEN, '+') or 'nothing'}.png",
        "label": label,
        "class_index": BETWEEN.join(map(str, classes)),
    }
    if split.box:
        row.update(zip(_EDGES, split.box(member) or [""] * 4, strict=True))
    return row
