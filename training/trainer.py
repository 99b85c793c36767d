"""One training run of a classifier from recipe to run folder, with its progress shown on the terminal."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from bundle import files
from bundle import run as runs
from bundle.run import Run
from training import augmentation, balance, class_weights, devices, fit, folder
from training.answers import Answers
from training.data.dataset import Dataset, SplitName, check, class_counts, fingerprint, pixels_of
from training.fit import ACCURACY, Examples, Objective, Outcome
from training.progress import FitBar, bar, console
from training.recipe import settings
from training.tasks.classification import Classification
from training.tasks.pictures import OfPictures


@dataclass(frozen=True)
class Started:
    """A run that has begun: what run.json says of it that is not known from its results."""

    name: str  # of the recipe
    command: str
    time: datetime


@dataclass(frozen=True)
class Taught:
    """A network that has learnt, and what it has learnt from."""

    dataset: Dataset
    examples: Mapping[SplitName, Examples]
    model: keras.Model
    outcome: Outcome

    def answers(self, split: SplitName) -> Answers:
        """What it says of a split."""
        pixels, labels = self.examples[split]
        return Answers(pixels, labels, fit.probabilities(self.model, pixels))


def train(name: str, recipe: OfPictures, out: Path, command: str) -> Run:
    """Trains `recipe`, called `name`, and writes the run folder `out`; returns what its run.json says.

    Raises FileExistsError when `out` is there, RecipeError, DataError, TrainingError, and KeyboardInterrupt when it is
    stopped before the first epoch is complete. Nothing is written then.
    """
    started = Started(name, command, datetime.now(UTC))
    with files.atomic_folder(out) as partial:
        fit.make_reproducible(recipe.training.seed)
        learnt = recipe.taught(name)
        learnt = replace(learnt, model=devices.in_float32(learnt.model))
        return write(partial, started, out.name, recipe, learnt)


def taught(name: str, recipe: Classification) -> Taught:
    """The network of `recipe`, called `name`, when it has learnt; raises what `train` raises."""
    model = recipe.build()
    dataset, examples = prepare(recipe)
    learner = augmentation.before(model, recipe.augmentation, recipe.training.seed)
    goal = objective(recipe, examples["train"][1])
    with fit.stop_on_ctrl_c(console.print) as stop, FitBar(recipe.training.epochs, "6.2%") as watcher:
        pictures = len(examples["train"][1])
        console.print(f"{name}: {pictures:,} pictures to learn from, {model.count_params():,} parameters")
        outcome = fit.fit(learner, recipe.training, goal, examples["train"], examples["validation"], stop, watcher)
    return Taught(dataset, examples, model, outcome)


def write(partial: Path, started: Started, out: str, recipe: OfPictures, taught: Taught) -> Run:
    """Writes the run folder that will be called `out` into the existing folder `partial`; returns what its run.json says."""
    answers = {split: taught.answers(split) for split in taught.examples}
    document = describe(started, out, recipe, taught.dataset, taught.model, taught.outcome, answers)
    # Keras stores loss and optimiser with the model, and could not read a loss again that has the classes' weights in it. SGD has
    # no state: nobody goes on from here.
    taught.model.compile("sgd", loss=recipe.classes.loss)
    folder.write(partial, document, taught.model, taught.outcome.history, answers)
    return document


def objective(recipe: OfPictures, labels: NDArray[np.int64]) -> Objective:
    """What the recipe makes small, where these are the training labels; raises RecipeError for weights that do not fit."""
    weights = class_weights.resolve(recipe.class_weights, labels, recipe.classes.count)
    accuracy = "binary_accuracy" if recipe.classes.kind == "multilabel" else ACCURACY
    return Objective(class_weights.loss(recipe.classes, weights), accuracy)


def prepare(recipe: OfPictures) -> tuple[Dataset, dict[SplitName, Examples]]:
    """The data set of `recipe`, checked, and the pixels uint8 [N, H, W, C] and labels of every split.

    Shows the balance of its classes.
    """
    dataset = recipe.data.load()
    check(dataset)
    weights = class_weights.resolve(recipe.class_weights, dataset.splits["train"].labels, recipe.classes.count)
    console.print(balance.table(dataset, weights))
    with bar() as progress:
        task = progress.add_task("pictures", total=sum(len(split.labels) for split in dataset.splits.values()))
        return dataset, {
            name: (pixels_of(split.pictures, recipe.preprocess, lambda: progress.advance(task)), split.labels)
            for name, split in dataset.splits.items()
        }


def describe(
    started: Started,
    out: str,
    recipe: OfPictures,
    dataset: Dataset,
    model: keras.Model,
    outcome: Outcome,
    answers: Mapping[SplitName, Answers],
) -> Run:
    """run.json of a run that is complete; `out` is what its folder will be called."""
    return Run(
        schema="seethrough.run/1",
        name=out,
        recipe=started.name,
        settings=settings(recipe),
        kind=dataset.kind,
        labels=dataset.labels,
        preprocess=recipe.preprocess,
        dataset=_described(dataset, answers),
        parameters=model.count_params(),
        seed=recipe.training.seed,
        epochs=len(outcome.history),
        best_epoch=outcome.best_epoch,
        interrupted=outcome.interrupted,
        metrics={split: given.metrics for split, given in answers.items()},
        started=started.time.isoformat(timespec="seconds"),
        seconds=(datetime.now(UTC) - started.time).total_seconds(),
        command=started.command,
        libraries=folder.libraries(),
    )


def _described(dataset: Dataset, answers: Mapping[SplitName, Answers]) -> runs.Dataset:
    counts: dict[str, dict[str, int]] = {
        name: dict(zip(dataset.labels, class_counts(given.labels, len(dataset.labels)).tolist(), strict=True))
        for name, given in answers.items()
    }
    digest = fingerprint([(given.pixels, given.labels) for given in answers.values()])
    return runs.Dataset(name=dataset.name, fingerprint=digest, class_counts=counts)
