"""What explanations cost under load: everyone asks for the heatmap of the top class, against nobody.

One server; plain and explained loads alternate, and the ratio is the median over the rounds of the ratio within each. Every answer is
compared with the engine's own, heatmaps too.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from bench import questions
from bench.errors import give_up
from bench.local_engine import EngineOption, PrecisionOption, Setting, ThreadsOption
from bench.subject import Reading, Subject, served
from bench.tables import Results, publish
from bundle.errors import BundleError
from server.config import EngineName, PrecisionName

CLIENTS, ROUNDS, SECONDS = 32, 5, 2.0
# Of the throughput without explanations.
LEAST = 0.85

cli = typer.Typer(add_completion=False, rich_markup_mode=None)


@dataclass(frozen=True)
class Measured:
    """A served bundle, with and without explanations in turn."""

    name: str
    runs_on: str
    plain: list[Reading] = field(default_factory=list)
    explained: list[Reading] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        """Of the throughputs, explained to plain."""
        return float(np.median([b.load.rate / a.load.rate for a, b in zip(self.plain, self.explained, strict=True)]))


@cli.command()
def main(
    bundles: Annotated[
        list[Path], typer.Argument(help="Bundles to measure, MODELS/NAME/VERSION.", metavar="BUNDLE...")
    ],
    rounds: Annotated[int, typer.Option(help="Rounds of both kinds; the median counts.", min=1)] = ROUNDS,
    seconds: Annotated[float, typer.Option(help="Length of each load.", min=0.1)] = SECONDS,
    engine: EngineOption = EngineName.AUTO,
    precision: PrecisionOption = PrecisionName.AUTO,
    threads: ThreadsOption = 0,
    out: Annotated[Path | None, typer.Option(help="Write the table to this Markdown file too.")] = None,
) -> None:
    """Measure throughput with explanations against without; the exit status is 1 if they cost more than they may."""
    try:
        measured = [measure(each, rounds, seconds, Setting(engine, precision, threads)) for each in bundles]
    except (BundleError, OSError, RuntimeError, ValueError) as error:
        give_up(str(error))
    publish([results(measured)], out)
    if slow := [f"{each.name} {each.ratio:.2f}" for each in measured if each.ratio < LEAST]:
        give_up(f"explained requests reach less than {LEAST} of the throughput of plain ones: {', '.join(slow)}")


def measure(bundle: Path, rounds: int, seconds: float, setting: Setting) -> Measured:
    """The bundle MODELS/NAME/VERSION under both kinds of load."""
    with served(bundle, setting) as subject:
        plain = questions.raw(subject.name, subject.pixels, subject.engine)
        explained = questions.raw(subject.name, subject.pixels, subject.engine, _tolerance(subject))
        measured = Measured(subject.name, subject.runs_on)
        for _ in range(rounds):
            measured.plain.append(subject.under(plain, CLIENTS, seconds))
            measured.explained.append(subject.under(explained, CLIENTS, seconds))
    return measured


def _tolerance(subject: Subject) -> float:
    """Of a heatmap's cells, as the bundle has it for the precision that runs."""
    forms = subject.manifest.precisions
    return next(form.tolerance.heatmaps for form in forms if form.name == subject.engine.precision)


def results(measured: list[Measured]) -> Results:
    """The table, two rows for each bundle."""
    columns = (
        f"{CLIENTS} requests at a time",
        "images/s",
        "times",
        "p50 ms",
        "p99 ms",
        "mean batch",
        "server CPU ms/image",
    )
    rows = []
    for each in measured:
        rows.append((f"{each.name}, {each.runs_on}: plain", *_figures(each.plain, "")))
        rows.append(
            (f"{each.name}, {each.runs_on}: top class explained", *_figures(each.explained, f"{each.ratio:.2f}"))
        )
    note = f"Explained requests are to reach {LEAST} of the throughput of plain ones."
    return Results(f"Explanations under load, medians of {len(measured[0].plain)} rounds", columns, rows, (note,))


def _figures(readings: list[Reading], ratio: str) -> tuple[str, ...]:
    latencies = np.concatenate([each.load.latencies for each in readings])
    return (
        f"{np.median([each.load.rate for each in readings]):,.0f}",
        ratio,
        *(f"{1e3 * np.quantile(latencies, quantile):.1f}" for quantile in (0.5, 0.99)),
        f"{np.median([each.mean_batch for each in readings]):.1f}",
        f"{1e3 * np.median([each.cpu for each in readings]):.3f}",
    )


if __name__ == "__main__":
    cli(prog_name="python -m bench.explain_load")
