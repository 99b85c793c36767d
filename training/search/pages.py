"""The table and the picture of a search."""

from pathlib import Path

from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from training.search.trials import Search, Trial
from training.style import DPI

COLUMNS = ["trial", "learning rate", "inner units", "dropout", "validation loss", "validation accuracy", "epoch"]
STYLES = ("-", "--", ":", "-.")


def table(trials: list[Trial]) -> list[list[str]]:
    """A row of words for each trial, in the order of COLUMNS, the best first."""
    return [
        [
            str(trial.number),
            f"{trial.learning_rate:.2e}",
            str(trial.inner),
            f"{trial.dropout:g}",
            "diverged" if trial.val_loss is None else f"{trial.val_loss:.4f}",
            "" if trial.val_accuracy is None else f"{trial.val_accuracy:.4f}",
            "" if trial.best_epoch is None else str(trial.best_epoch),
        ]
        for trial in sorted(trials, key=lambda trial: trial.rank)
    ]


def write(folder: Path, search: Search, trials: list[Trial]) -> None:
    """Writes trials.md and trials.png into the search folder."""
    lines = [COLUMNS, ["---"] * len(COLUMNS), *table(trials)]
    (folder / "trials.md").write_text("".join(f"| {' | '.join(line)} |\n" for line in lines))
    _draw(folder / "trials.png", search, trials)


def _draw(path: Path, search: Search, trials: list[Trial]) -> None:
    """Validation accuracy over the epochs: the colour is the learning rate, the stroke the inner size, a star the best."""
    figure = Figure(figsize=(9.5, 5), layout="constrained")
    axes = figure.subplots()
    norm, colours = LogNorm(search.space.rate_from, search.space.rate_to), colormaps["viridis"]
    strokes = {inner: STYLES[index % len(STYLES)] for index, inner in enumerate(search.space.inner)}
    for trial in trials:
        epochs = range(1, len(trial.curve) + 1)
        colour = colours(float(norm(trial.learning_rate)))
        axes.plot(epochs, trial.curve, color=colour, linestyle=strokes[trial.inner], marker="o", markersize=2.5)
    first = min(trials, key=lambda trial: trial.rank)
    if first.best_epoch is not None:
        axes.plot(
            first.best_epoch,
            first.curve[first.best_epoch - 1],
            marker="*",
            markersize=16,
            color="#e45756",
            linestyle="",
        )
    for inner, stroke in strokes.items():
        axes.plot([], [], color="#555555", linestyle=stroke, label=f"{inner} inner units")
    axes.plot([], [], marker="*", markersize=12, color="#e45756", linestyle="", label="best trial, its best epoch")
    axes.set(xlabel="epoch", title=f"{search.recipe}: validation accuracy of {len(trials)} trials")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    axes.legend(frameon=False, fontsize=9, loc="lower right")
    figure.colorbar(ScalarMappable(norm, colours), ax=axes, label="learning rate")
    figure.savefig(path, dpi=DPI)
