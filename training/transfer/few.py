"""With how few labels a base is worth having: the same network from scratch and on a base, on the same few pictures.

A seed decides which pictures have labels, the first weights and the order of pictures. Validation, by which the best epoch is
chosen, has as many pictures as training; the test pictures are all there are.
"""

import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import keras
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from bundle import files, strict
from training import fit
from training.errors import RecipeError
from training.recipe import load
from training.style import DPI, SERIES
from training.tasks.pictures import OfPictures

TRANSFER = "clothes-transfer"
# By recipe and what is changed in it; both recipes have the same data, network and head.
WAYS: dict[str, tuple[str, list[str]]] = {
    "from scratch": ("clothes-scratch", []),
    "head on the base": (TRANSFER, ["fine_tuning={name='none'}"]),
    "then fine-tuned": (TRANSFER, []),
}


class Trial(strict.Document, frozen=True):
    """One training."""

    way: str
    labels: int  # of each class
    seed: int
    accuracy: float  # on the test pictures


class Trials(strict.Document, frozen=True):
    """The whole of few.json."""

    trials: list[Trial]


@dataclass(frozen=True)
class Plan:
    """What is tried."""

    labels: list[int]  # of each class
    seeds: int
    base: Path  # model.keras of a run of clothes-base

    @property
    def total(self) -> int:
        """Trainings in all."""
        return len(WAYS) * len(self.labels) * self.seeds


def trials(plan: Plan) -> Iterator[Trial]:
    """Every training, when it is done. Raises what a training run raises."""
    for labels in plan.labels:
        for seed in range(1, plan.seeds + 1):
            for way in WAYS:
                yield trial(way, labels, seed, plan.base)


def trial(way: str, labels: int, seed: int, base: Path) -> Trial:
    """One training."""
    recipe, changes = WAYS[way]
    changes = [*changes, *(f"{key}={labels}" for key in ("data.train", "data.validation"))]
    changes += [f"{key}={seed}" for key in ("data.seed", "training.seed")]
    if recipe == TRANSFER:
        changes.append(f"base.weights={base}")
    return Trial(way=way, labels=labels, seed=seed, accuracy=_accuracy(recipe, changes))


def _accuracy(name: str, changes: list[str]) -> float:
    """On the test pictures."""
    recipe = load(name, changes)
    if not isinstance(recipe, OfPictures):
        raise RecipeError(f"recipe {name}: does not classify pictures")
    keras.utils.clear_session()
    fit.make_reproducible(recipe.training.seed)
    taught = recipe.taught(name)
    if taught.outcome.interrupted:
        raise KeyboardInterrupt
    return taught.answers("test").metrics.accuracy


COLUMNS = ["labels of each class", *WAYS, "fine-tuned against scratch"]


def table(done: list[Trial]) -> list[list[str]]:
    """A row for each number of labels: median accuracy of every way with its range, and what the base is worth in the end."""
    return [_row(done, labels) for labels in dict.fromkeys(trial.labels for trial in done)]


def _row(done: list[Trial], labels: int) -> list[str]:
    scores = [_scores(done, way, labels) for way in WAYS]
    words = [f"{statistics.median(each):.1%} ({min(each):.1%} to {max(each):.1%})" for each in scores]
    scratch, tuned = scores[0], scores[-1]
    gain = 100 * (statistics.median(tuned) - statistics.median(scratch))
    won = sum(after > before for before, after in zip(scratch, tuned, strict=True))
    return [str(labels), *words, f"{gain:+.1f} points, better for {won} of {len(tuned)} seeds"]


def _scores(done: list[Trial], way: str, labels: int) -> list[float]:
    """By seed."""
    return [trial.accuracy for trial in done if (trial.way, trial.labels) == (way, labels)]


def write(out: Path, done: list[Trial]) -> None:
    """Writes few.json, few.md and few.png into the new folder `out`; raises FileExistsError when it is there."""
    with files.atomic_folder(out) as partial:
        strict.write(partial / "few.json", Trials(trials=done))
        lines = [COLUMNS, ["---"] * len(COLUMNS), *table(done)]
        (partial / "few.md").write_text("".join(f"| {' | '.join(line)} |\n" for line in lines))
        draw(partial / "few.png", done)


def draw(path: Path, done: list[Trial]) -> None:
    """Test accuracy over the number of labels: a point for each training, a line through the medians."""
    figure = Figure(figsize=(6.4, 4), layout="constrained")
    axes = figure.subplots()
    sizes = list(dict.fromkeys(trial.labels for trial in done))
    for way, colour in zip(WAYS, (SERIES[1], SERIES[5], SERIES[0]), strict=True):
        medians = [statistics.median(_scores(done, way, labels)) for labels in sizes]
        axes.plot(sizes, medians, color=colour, marker="o", label=way)
        mine = [trial for trial in done if trial.way == way]
        axes.scatter([each.labels for each in mine], [each.accuracy for each in mine], color=colour, s=14, alpha=0.45)
    axes.set_xscale("log")
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.minorticks_off()
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set(xlabel="pictures with a label, of each class", title="accuracy on the test pictures")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=DPI)
