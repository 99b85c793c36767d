"""`--data DIR`: the recipe keys that describe a folder of pictures, found by looking at it."""

import json
from pathlib import Path

from training.data import files, multilabel
from training.data.folder import classes_in
from training.data.multilabel import TABLE
from training.errors import DataError

VALIDATION, TEST, SEED = 0.15, 0.15, 1  # of a folder that is not divided; --set data.test=0.3 and so on changes them


def keys(root: Path) -> str:
    """A change to a recipe, "data={...}", for the pictures under `root`. Raises DataError when it has fewer than two labels.

    With a labels.csv they may have several labels each; without, a folder is a class.
    """
    files.folder(str(root), "put the pictures there, in a folder for each class")
    first = root / "train" if files.is_divided(root) else root
    name = "multilabel" if (first / TABLE).is_file() else "folder"
    labels = multilabel.labels_of(first / TABLE) if name == "multilabel" else classes_in(first)
    if len(labels) < 2:
        raise DataError(
            f"{first}: has {_number(labels)} to tell apart; put the pictures into a folder for each class, or list their labels "
            f"in {first / TABLE}"
        )
    table = {"name": name, "path": str(root), "labels": labels, "validation": VALIDATION, "test": TEST, "seed": SEED}
    return "data={" + ", ".join(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in table.items()) + "}"


def _number(labels: list[str]) -> str:
    return f"one class only ({labels[0]}), and nothing" if labels else "no classes"
