"""The answers that a report or a calibration is about, made anew from a run folder and its recipe's data."""

from pathlib import Path

import keras
import msgspec

from bundle import run as runs
from bundle.run import Run
from training import fit, trainer
from training.answers import Answers
from training.data.dataset import SplitName, fingerprint
from training.errors import DataError, RecipeError
from training.fit import Examples
from training.tasks import Recipe
from training.tasks.pictures import OfPictures


def read(folder: Path) -> Run:
    """run.json of a run whose classes exclude each other; raises RecipeError for others, BundleError when there is none."""
    if runs.is_tensor(folder) or runs.read(folder).kind == "multilabel":
        raise RecipeError(f"{folder}: this is for runs that tell classes of pictures apart, one class for each picture")
    return runs.read(folder)


def model(folder: Path) -> keras.Model:
    """The model of the run in `folder`; raises DataError when it cannot be read."""
    try:
        return keras.models.load_model(folder / runs.KERAS_MODEL, compile=False)
    except Exception as error:  # Keras lets through whatever zip, JSON and HDF5 readers raise
        raise DataError(f"{folder / runs.KERAS_MODEL}: cannot be read as a Keras model: {error}") from error


def examples(folder: Path, run: Run) -> dict[SplitName, Examples]:
    """The data that the run was trained on, by split.

    Raises RecipeError when its recipe is of an older form, DataError when the data is not here or has changed.
    """
    try:
        recipe: object = msgspec.convert(run.settings, Recipe)
    except msgspec.ValidationError as error:
        raise RecipeError(f"{folder}: its recipe is of an older form ({error}); train it again") from error
    if not isinstance(recipe, OfPictures):
        raise RecipeError(f"{folder}: this is for runs that classify pictures")
    _, found = trainer.prepare(recipe)
    if fingerprint(list(found.values())) != run.dataset.fingerprint:
        raise DataError(f"{folder}: the data of {run.dataset.name} is no longer what it was trained on")
    return found


def test_answers(folder: Path, run: Run, network: keras.Model) -> tuple[Answers, str]:
    """What the model says of the test split, and what the pictures are, in words.

    Of the samples in the run folder where the whole split cannot be had any more.
    """
    try:
        pixels, labels = examples(folder, run)["test"]
        told = f"all {len(labels):,} test pictures"
    except (RecipeError, DataError):
        pixels, labels = runs.read_samples(folder)
        told = f"the {len(labels):,} test pictures in the run folder; the whole split is not here"
    return Answers(pixels, labels, fit.probabilities(network, pixels)), told
