"""One training run of a network of arrays, from recipe to run folder, with its progress shown on the terminal."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import keras
import numpy as np

from bundle import files, strict
from bundle import run as runs
from bundle.preprocess import PreprocessSpec
from bundle.run import Rows, TensorRun
from bundle.samples import evenly
from training import devices, fit, folder, plots
from training.arrays.image_to_image import ImageToImage
from training.arrays.material import Examples, Splits, fingerprint
from training.arrays.sequence import SequenceClassification
from training.arrays.table import TableClassification
from training.arrays.text import TextGeneration
from training.fit import Objective, Outcome
from training.optimisation import Training
from training.progress import FitBar, console
from training.recipe import settings
from training.tasks.common import Trained

SAMPLES, SAMPLE_BYTES = 256, 16 * 2**20  # at most, of held-out inputs


@dataclass(frozen=True)
class Lesson:
    """What a task brings to be trained: two models of the same weights, and what they learn."""

    model: keras.Model  # the one that is kept and served
    learner: keras.Model  # the one that is trained; often the same
    objective: Objective
    form: str  # how its metric is written: ".2%" for a share
    examples: Splits  # for the learner
    judged: Splits  # for the model, which the figures are of
    labels: list[str]
    preprocess: PreprocessSpec | None
    draw: Callable[[Path], None]  # adds pictures of the trained model to a run folder


Task = ImageToImage | SequenceClassification | TableClassification | TextGeneration


def train(name: str, task: Task, out: Path, command: str) -> Trained:
    """Trains the recipe `task`, called `name`, and writes the run folder `out`.

    Raises FileExistsError when `out` is there, RecipeError, DataError, TrainingError, and KeyboardInterrupt when it is
    stopped before the first epoch is complete. Nothing is written then.
    """
    started = datetime.now(UTC)
    with files.atomic_folder(out) as partial:
        fit.make_reproducible(task.training.seed)
        lesson = task.lesson()
        outcome = _fitted(name, task.training, lesson)
        lesson = replace(lesson, model=devices.in_float32(lesson.model))
        lesson.model.save(partial / runs.KERAS_MODEL)
        document = _document(name, task, lesson, outcome, Started(out.name, started, command))
        _write(partial, document, lesson, outcome)
    return _told(document, lesson)


@dataclass(frozen=True)
class Started:
    """What run.json says of a run that was known when it began."""

    name: str  # of the run folder
    time: datetime
    command: str


def _document(name: str, task: Task, lesson: Lesson, outcome: Outcome, started: Started) -> TensorRun:
    lesson.model.compile(loss=lesson.objective.loss, metrics=[lesson.objective.metric])
    metrics: dict[str, dict[str, float]] = {
        split: _judged(lesson, examples) for split, examples in lesson.judged.items()
    }
    return TensorRun(
        schema="seethrough.run/1",
        name=started.name,
        recipe=name,
        settings=settings(task),
        kind="tensor",
        labels=lesson.labels,
        preprocess=lesson.preprocess,
        dataset=_described(task.data_name, lesson.examples),
        parameters=lesson.model.count_params(),
        seed=task.training.seed,
        epochs=len(outcome.history),
        best_epoch=outcome.best_epoch,
        interrupted=outcome.interrupted,
        metrics=metrics,
        started=started.time.isoformat(timespec="seconds"),
        seconds=(datetime.now(UTC) - started.time).total_seconds(),
        command=started.command,
        libraries=folder.libraries(),
    )


def _fitted(name: str, training: Training, lesson: Lesson) -> Outcome:
    examples = lesson.examples
    with fit.stop_on_ctrl_c(console.print) as stop, FitBar(training.epochs, lesson.form) as watcher:
        rows, parameters = len(examples["train"][1]), lesson.model.count_params()
        console.print(f"{name}: {rows:,} examples to learn from, {parameters:,} parameters")
        return fit.fit(
            lesson.learner, training, lesson.objective, examples["train"], examples["validation"], stop, watcher
        )


def _judged(lesson: Lesson, examples: Examples) -> dict[str, float]:
    """Loss and metric of the kept model on one split."""
    inputs, targets = examples
    found = lesson.model.evaluate(inputs, targets, batch_size=256, verbose=0, return_dict=True)
    return {name: float(figure) for name, figure in found.items()}


def _described(name: str, splits: Splits) -> Rows:
    counts: dict[str, int] = {split: len(targets) for split, (_, targets) in splits.items()}
    return Rows(name=name, fingerprint=fingerprint(splits), counts=counts)


def _write(into: Path, document: TensorRun, lesson: Lesson, outcome: Outcome) -> None:
    strict.write(into / runs.RUN, document)
    inputs, targets = lesson.judged["test"]
    kept = evenly(len(inputs), min(SAMPLES, SAMPLE_BYTES // inputs[0].nbytes))
    np.savez_compressed(into / runs.SAMPLES, inputs=inputs[kept], targets=targets[kept])
    metric = lesson.objective.metric
    folder.write_history(into / runs.HISTORY, outcome.history, metric)
    test = document.metrics["test"]
    names = lesson.objective.loss.replace("_", " "), metric.replace("_", " ")
    plots.curves(into / "learning_curves.png", outcome.history, outcome.best_epoch, names, (test["loss"], test[metric]))
    lesson.draw(into)


def _told(document: TensorRun, lesson: Lesson) -> Trained:
    test = document.metrics["test"]
    metric = lesson.objective.metric
    return Trained(
        figures=f"test {metric.replace('_', ' ')} {test[metric]:.4f}, loss {test['loss']:.4f}, from epoch "
        f"{document.best_epoch} of {document.epochs}, {document.parameters:,} parameters, {document.seconds:.0f} s",
        note=f"stopped by Ctrl-C: this is epoch {document.best_epoch}, the best so far" if document.interrupted else "",
    )
