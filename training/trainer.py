"""One training run from recipe to run folder, with its progress shown on the terminal."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from bundle import files
from bundle import run as runs
from bundle.run import Run
from training import fit, folder
from training.answers import Answers
from training.data.dataset import Dataset, SplitName, fingerprint, kind_of, pixels_of
from training.fit import Labelled
from training.progress import FitBar, bar, console
from training.recipe import Recipe, settings


def train(name: str, recipe: Recipe, out: Path, command: str) -> Run:
    """Trains `recipe`, called `name`, and writes the run folder `out`; returns what its run.json says.

    Raises FileExistsError when `out` is there, RecipeError, DataError, and KeyboardInterrupt (with nothing written) when
    it is stopped before the first epoch is complete.
    """
    started = datetime.now(UTC)
    with files.atomic_folder(out) as partial:
        fit.make_reproducible(recipe.training.seed)
        model = recipe.network.build(recipe.preprocess.shape, len(recipe.data.labels))
        dataset = recipe.data.load()
        splits = _pixels(dataset, recipe)
        with fit.stop_on_ctrl_c(console.print) as stop:
            console.print(
                f"{name}: {len(splits['train'][1]):,} pictures to learn from, {model.count_params():,} parameters"
            )
            with FitBar(recipe.training.epochs) as watcher:
                outcome = fit.fit(model, recipe.training, splits["train"], splits["validation"], stop, watcher)
            answers = {split: Answers(*data, fit.probabilities(model, data[0])) for split, data in splits.items()}
            document = Run(
                schema="seethrough.run/1",
                name=out.name,
                recipe=name,
                settings=settings(recipe),
                kind=kind_of(dataset.labels),
                labels=dataset.labels,
                preprocess=recipe.preprocess,
                dataset=_described(dataset, splits),
                parameters=model.count_params(),
                seed=recipe.training.seed,
                epochs=len(outcome.history),
                best_epoch=outcome.best_epoch,
                interrupted=outcome.interrupted,
                metrics={split: given.metrics for split, given in answers.items()},
                started=started.isoformat(timespec="seconds"),
                seconds=(datetime.now(UTC) - started).total_seconds(),
                command=command,
                libraries=folder.libraries(),
            )
            folder.write(partial, document, model, outcome.history, answers)
    return document


def _described(dataset: Dataset, splits: dict[SplitName, Labelled]) -> runs.Dataset:
    counts: dict[str, dict[str, int]] = {
        name: dict(zip(dataset.labels, np.bincount(labels, minlength=len(dataset.labels)).tolist(), strict=True))
        for name, (_, labels) in splits.items()
    }
    return runs.Dataset(name=dataset.name, fingerprint=fingerprint([*splits.values()]), class_counts=counts)


def _pixels(dataset: Dataset, recipe: Recipe) -> dict[SplitName, Labelled]:
    """Pixels and labels of every split."""
    with bar() as progress:
        task = progress.add_task("pictures", total=sum(len(split.labels) for split in dataset.splits.values()))
        return {
            name: (pixels_of(split.pictures, recipe.preprocess, lambda: progress.advance(task)), split.labels)
            for name, split in dataset.splits.items()
        }
