"""The shelf's own figures: what each shipped recipe came to when it was trained as it is.

`python -m training record RUN` takes them from a run folder into measured.json beside the recipes; nobody types them. The
settings that they were measured with are kept too, so that it shows when a recipe has changed since.
"""

from importlib import resources
from pathlib import Path
from typing import Any

from bundle import strict
from training import recipe as recipes
from training import results
from training.errors import DataError, RecipeError

FILE = Path(str(resources.files("training") / "recipes" / "measured.json"))
WORDS = ("summary", "notes")


class Measured(strict.Document, frozen=True):
    """One recipe's figures."""

    settings: dict[str, object]  # the recipe as it was run
    parameters: int
    epochs: int
    best_epoch: int
    metrics: dict[str, dict[str, float]]  # split -> metric -> figure
    started: str  # ISO 8601, UTC
    seconds: float
    libraries: dict[str, str]


class _Table(strict.Document, frozen=True):
    recipes: dict[str, Measured]


def read(path: Path = FILE) -> dict[str, Measured]:
    """The figures of every recipe that has some, by its name."""
    return strict.read(path, _Table).recipes if path.is_file() else {}


def current(measured: Any, recipe: Any) -> bool:
    """Whether a recipe still says what it said when it was `measured`; both are settings, or values in them.

    The words about a recipe (`summary`, `notes`) may change. A key that did not exist then is taken to say what was always
    done: whoever adds one gives the shipped recipes that value.
    """
    if isinstance(measured, dict) and isinstance(recipe, dict):
        return all(key in recipe and current(measured[key], recipe[key]) for key in measured if key not in WORDS)
    if isinstance(measured, list) and isinstance(recipe, list):
        return len(measured) == len(recipe) and all(map(current, measured, recipe))
    return bool(measured == recipe)


def record(folder: Path, path: Path = FILE) -> tuple[str, Measured]:
    """Takes the figures of the run in `folder` into the file at `path`; returns the recipe's name and them.

    Raises DataError for a run that is not one of a shipped recipe as it is, from its first epoch to its end.
    """
    result = results.read(folder)
    try:
        shipped = recipes.settings(recipes.load(result.recipe, [])) if result.recipe in recipes.shipped() else None
    except RecipeError as error:
        raise DataError(f"{folder}: {error}") from error
    if shipped is None or not current(result.settings, shipped):
        raise DataError(
            f"{folder}: was not trained by a shipped recipe as it is now, but by {result.recipe!r} with changes"
        )
    if result.interrupted:
        raise DataError(f"{folder}: was stopped by Ctrl-C; only whole runs are recorded")
    figures = Measured(
        settings=result.settings,
        parameters=result.parameters,
        epochs=result.epochs,
        best_epoch=result.best_epoch,
        metrics=result.metrics,
        started=result.started,
        seconds=result.seconds,
        libraries=result.libraries,
    )
    strict.write(path, _Table(recipes=dict(sorted({**read(path), result.recipe: figures}.items()))))
    return result.recipe, figures
