"""keras-tuner chooses what to try next; a trial is our own training loop on the recipe with some keys changed."""

import contextlib
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import keras_tuner
from keras_tuner import errors
from msgspec.structs import replace

from training import augmentation, fit, trainer
from training.data.dataset import SplitName
from training.errors import TrainingError
from training.fit import Examples, Outcome
from training.progress import FitBar, console
from training.recipe import of_pictures
from training.search import pages, trials
from training.search.trials import Search, Space, Trial
from training.tasks.classification import Classification

OBJECTIVE = "val_loss"
RATE, INNER, DROPOUT = "learning_rate", "inner", "dropout"


def run(folder: Path, search: Search, count: int) -> list[Trial]:
    """Goes on with the search in `folder` until `count` trials are complete; returns them all.

    Table and picture are written after each. Raises RecipeError and DataError, and KeyboardInterrupt for Ctrl-C; the trial
    under way is then begun again next time.
    """
    recipe = of_pictures(search.recipe, search.changes)
    recipe.build()  # so that what does not fit is said before the data is read
    _, examples = trainer.prepare(recipe)

    def attempt(number: int, values: Mapping[str, Any]) -> Trial:
        trial = _attempt(search, number, values, examples)
        trials.keep(folder, trial)
        pages.write(folder, search, trials.read(folder))
        return trial

    with contextlib.redirect_stdout(io.StringIO()):  # it announces what it reads
        tuner = _Tuner(
            attempt,
            objective=keras_tuner.Objective(OBJECTIVE, "min"),
            max_trials=count,
            seed=search.seed,
            hyperparameters=_hyperparameters(search.space),
            max_consecutive_failed_trials=count,
            directory=folder,
            project_name="tuner",
        )
    try:
        tuner.search(verbose=0)
    except errors.FatalError as error:
        raise error.__cause__ or error from None
    return trials.read(folder)


class _Tuner(keras_tuner.RandomSearch):  # type: ignore[misc]
    """Random search: with three keys and few trials a model of the objective gains nothing (JMLR 13, 281-305).

    keras-tuner takes any exception for a trial that failed, and goes on. Here only divergence is one; everything else ends
    the search, to be mended and gone on with.
    """

    def __init__(self, attempt: Callable[[int, Mapping[str, Any]], Trial], **options: Any) -> None:
        self.attempt = attempt
        super().__init__(**options)

    def run_trial(self, trial: Any, verbose: int) -> dict[str, float]:  # noqa: ARG002  keras-tuner passes it on
        """The validation loss of a trial with the values that were chosen for it."""
        try:
            done = self.attempt(int(trial.trial_id), trial.hyperparameters.values)
        except Exception as error:
            raise errors.FatalError from error
        if done.val_loss is None:
            raise errors.FailedTrialError("diverged")
        return {OBJECTIVE: done.val_loss}


def _hyperparameters(space: Space) -> keras_tuner.HyperParameters:
    wanted = keras_tuner.HyperParameters()
    wanted.Float(RATE, space.rate_from, space.rate_to, sampling="log")
    wanted.Choice(INNER, space.inner)
    wanted.Choice(DROPOUT, space.dropout)
    return wanted


def _attempt(search: Search, number: int, values: Mapping[str, Any], examples: Mapping[SplitName, Examples]) -> Trial:
    """One trial, trained."""
    trial = Trial(
        number=number,
        learning_rate=float(values[RATE]),
        inner=int(values[INNER]),
        dropout=float(values[DROPOUT]),
        val_loss=None,
        val_accuracy=None,
        best_epoch=None,
        curve=[],
    )
    recipe = of_pictures(search.recipe, [*search.changes, *trial.changes])
    console.print(f"trial {number}: {', '.join(trial.changes)}", soft_wrap=True)
    try:
        outcome = _fitted(recipe, examples)
    except TrainingError as error:
        console.print(f"trial {number}: {error}", soft_wrap=True)
        return trial
    if outcome.interrupted:
        raise KeyboardInterrupt
    best = outcome.history[outcome.best_epoch - 1]
    curve = [epoch.val_score for epoch in outcome.history]
    return replace(trial, val_loss=best.val_loss, val_accuracy=best.val_score, best_epoch=best.number, curve=curve)


def _fitted(recipe: Classification, examples: Mapping[SplitName, Examples]) -> Outcome:
    keras.utils.clear_session()
    fit.make_reproducible(recipe.training.seed)
    learner = augmentation.before(recipe.build(), recipe.augmentation, recipe.training.seed)
    with fit.stop_on_ctrl_c(console.print) as stop, FitBar(recipe.training.epochs, "6.2%") as watcher:
        objective = trainer.objective(recipe, examples["train"][1])
        return fit.fit(learner, recipe.training, objective, examples["train"], examples["validation"], stop, watcher)
