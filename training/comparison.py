"""Several runs beside each other: one table, and one picture of how they learnt."""

from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bundle import files
from training import results
from training.results import Curve, Result
from training.style import DPI, SERIES


@dataclass(frozen=True)
class Compared:
    """A run and how its validation score went."""

    result: Result
    curve: Curve

    def note(self, split: str) -> str:
        """The figure of the course notes for the run's recipe and metric; empty where they have none."""
        noted = [
            note["value"]
            for note in self.result.settings.get("notes", ())
            if (note["split"], note["metric"]) == (split, self.curve.metric)
        ]
        return f"{noted[0]:.4g}" if noted else ""


def read(folder: Path) -> Compared:
    """The run in `folder`; raises BundleError when it is no run folder."""
    return Compared(results.read(folder), results.validation_curve(folder))


def table(compared: list[Compared]) -> tuple[list[str], list[list[str]]]:
    """Columns and rows: a row for each run, in the given order."""
    columns = ["run", "recipe", "metric", "parameters", "epochs", "seconds", "training"]
    columns += ["validation", "notes: validation", "test", "notes: test"]
    return columns, [_row(each) for each in compared]


def write(out: Path, compared: list[Compared]) -> None:
    """Writes comparison.md and comparison.png into the new folder `out`; raises FileExistsError when it is there."""
    with files.atomic_folder(out) as partial:
        columns, rows = table(compared)
        lines = [columns, ["---"] * len(columns), *rows]
        (partial / "comparison.md").write_text("".join(f"| {' | '.join(line)} |\n" for line in lines))
        draw(partial / "comparison.png", compared)


def draw(path: Path, compared: list[Compared]) -> None:
    """The validation score of every run over its epochs, a panel for each metric; a star is the epoch that was kept."""
    metrics = list(dict.fromkeys(each.curve.metric for each in compared))
    figure = Figure(figsize=(8.5, 4.6 * len(metrics)), layout="constrained")
    for axes, metric in zip(figure.subplots(len(metrics), squeeze=False).flat, metrics, strict=True):
        for number, each in enumerate(compared):
            if each.curve.metric == metric:
                colour, kept = SERIES[number % len(SERIES)], each.result.best_epoch
                axes.plot(range(1, len(each.curve.values) + 1), each.curve.values, color=colour, label=_label(each))
                axes.plot(kept, each.curve.values[kept - 1], color=colour, marker="*", markersize=12)
        axes.set(xlabel="epoch", title=f"{metric.replace('_', ' ')} on the validation split")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
        axes.legend(frameon=False)
    figure.savefig(path, dpi=DPI)


def _label(each: Compared) -> str:
    note = each.note("validation")
    return f"{each.result.name}, {each.result.parameters:,} parameters" + (f" (notes: {note})" if note else "")


def _row(each: Compared) -> list[str]:
    result, metric = each.result, each.curve.metric
    ours = {split: f"{figures[metric]:.4f}" if metric in figures else "" for split, figures in result.metrics.items()}
    return [
        result.name,
        result.recipe,
        metric.replace("_", " "),
        f"{result.parameters:,}",
        f"{result.best_epoch} of {result.epochs}",
        f"{result.seconds:.0f}",
        ours["train"],
        ours["validation"],
        each.note("validation"),
        ours["test"],
        each.note("test"),
    ]
