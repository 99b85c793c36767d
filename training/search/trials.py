"""The search folder: what is looked for, and what each trial came to.

search/
    search.json     the recipe, the changes to it that hold for all trials, and the space
    trials/N.json   a trial that is complete, with its curve
    tuner/          keras-tuner's own state
    trials.md       the table of all trials, the best first
    trials.png      the picture of all curves
"""

import math
from pathlib import Path
from typing import Annotated

import msgspec

from bundle import strict
from bundle.manifest import Positive
from training.errors import DataError, RecipeError

SEARCH, TRIALS = "search.json", "trials"


class Space(strict.Document, frozen=True):
    """What is tried: a learning rate from a range, evenly in its logarithm, and the other keys from lists."""

    rate_from: Annotated[float, msgspec.Meta(gt=0)]
    rate_to: Annotated[float, msgspec.Meta(gt=0)]
    inner: Annotated[list[Positive], msgspec.Meta(min_length=1)]  # units of the one dense layer of the head
    dropout: Annotated[list[Annotated[float, msgspec.Meta(ge=0, lt=1)]], msgspec.Meta(min_length=1)]  # after it


class Search(strict.Document, frozen=True):
    """The whole of search.json. A search that goes on must be the same one; only its number of trials may grow."""

    recipe: str
    changes: list[str]  # for all trials
    space: Space
    seed: int


class Trial(strict.Document, frozen=True):
    """What one trial came to."""

    number: int
    learning_rate: float
    inner: int
    dropout: float
    val_loss: float | None  # of its best epoch; null when training diverged
    val_accuracy: float | None  # of the same epoch
    best_epoch: int | None
    curve: list[float]  # validation accuracy after each epoch

    @property
    def changes(self) -> list[str]:
        """Its values as changes to the recipe."""
        return [
            f"training.learning_rate={self.learning_rate!r}",
            f"network.head.dense=[{self.inner}]",
            f"network.head.dense_dropout={self.dropout!r}",
        ]

    @property
    def rank(self) -> float:
        """What decides which trial is the best: the lowest first."""
        return math.inf if self.val_loss is None else self.val_loss


def begin(folder: Path, search: Search) -> None:
    """Makes the search folder, or finds it. Raises RecipeError when another search is in it."""
    path = folder / SEARCH
    if path.is_file():
        if strict.read(path, Search) != search:
            raise RecipeError(
                f"{folder}: is another search; give the same recipe and options to go on, or another --out"
            )
        return
    if folder.exists() and any(folder.iterdir()):
        raise RecipeError(f"{folder}: exists already and is no search; give another --out")
    (folder / TRIALS).mkdir(parents=True)
    strict.write(path, search)


def keep(folder: Path, trial: Trial) -> None:
    """Stores a trial that is complete."""
    partial, final = (folder / TRIALS / f"{trial.number}.{ending}" for ending in ("partial", "json"))
    strict.write(partial, trial)
    partial.replace(final)


def read(folder: Path) -> list[Trial]:
    """The complete trials of the search in `folder`, by their number."""
    return sorted(
        (strict.read(path, Trial) for path in (folder / TRIALS).glob("*.json")), key=lambda trial: trial.number
    )


def best(folder: Path, recipe: str) -> list[str]:
    """The changes to `recipe` that the search in `folder` found best, by validation loss.

    Raises BundleError when there is no search, RecipeError when it was of another recipe, DataError when no trial of it
    is complete.
    """
    search = strict.read(folder / SEARCH, Search)
    if search.recipe != recipe:
        raise RecipeError(f"{folder}: is a search for {search.recipe}, not for {recipe}")
    trials = [trial for trial in read(folder) if trial.val_loss is not None]
    if not trials:
        raise DataError(f"{folder}: no trial of this search is complete; run it first")
    return [*search.changes, *min(trials, key=lambda trial: trial.rank).changes]
