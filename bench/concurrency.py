"""Whether batching adds nothing at low load and grows by itself: raw tensors from 1 to 128 clients.

Every answer is compared with the engine's own. After each load the same engine runs in this process, at the batch size that the server
just had, so that both see the machine at the same speed: what the server takes beyond it is what the server costs. Generator and
server share the cores.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from bench import local_engine, plots, questions
from bench.errors import give_up
from bench.local_engine import PREDICT, Cost, EngineOption, PrecisionOption, Setting, ThreadsOption
from bench.subject import Reading, Subject, served
from bench.tables import Results, publish
from bundle.errors import BundleError
from server.config import EngineName, PrecisionName

CLIENTS = (1, 2, 4, 8, 16, 32, 64, 128)
ROUNDS, SECONDS = 5, 1.0

cli = typer.Typer(add_completion=False, rich_markup_mode=None)


@dataclass(frozen=True)
class Round:
    """One load, and the run of the engine alone that followed it."""

    reading: Reading
    engine: Cost  # of a run of `batch` images
    batch: int

    @property
    def engine_cpu(self) -> float:
        """Seconds an image."""
        return self.engine.cpu_seconds / self.batch

    @property
    def engine_rate(self) -> float:
        """Images a second."""
        return self.batch / self.engine.seconds

    @property
    def added(self) -> float:
        """Seconds that a call's median is above the engine's own for a batch."""
        return float(np.median(self.reading.load.latencies)) - self.engine.seconds


@dataclass(frozen=True)
class Level:
    """All rounds of one number of clients."""

    clients: int
    rounds: list[Round] = field(default_factory=list)

    def latency(self, quantile: float) -> float:
        """Seconds, over the calls of all rounds."""
        return float(np.quantile(np.concatenate([each.reading.load.latencies for each in self.rounds]), quantile))


@dataclass(frozen=True)
class Measured:
    """A served bundle under growing load."""

    name: str
    runs_on: str
    levels: list[Level]


@cli.command()
def main(
    bundles: Annotated[
        list[Path], typer.Argument(help="Bundles to measure, MODELS/NAME/VERSION.", metavar="BUNDLE...")
    ],
    rounds: Annotated[int, typer.Option(help="Rounds over all numbers of clients; the median counts.", min=1)] = ROUNDS,
    seconds: Annotated[float, typer.Option(help="Length of each load.", min=0.1)] = SECONDS,
    engine: EngineOption = EngineName.AUTO,
    precision: PrecisionOption = PrecisionName.AUTO,
    threads: ThreadsOption = 0,
    out: Annotated[
        Path | None, typer.Option(help="Write the tables to this Markdown file, and a plot of each beside it.")
    ] = None,
) -> None:
    """Measure throughput, latency and batch size against the number of clients; starts and stops the servers itself."""
    try:
        measured = [measure(each, rounds, seconds, Setting(engine, precision, threads)) for each in bundles]
    except (BundleError, OSError, RuntimeError, ValueError) as error:
        give_up(str(error))
    publish([results(each, draw(each, out.parent) if out else None) for each in measured], out)


def measure(bundle: Path, rounds: int, seconds: float, setting: Setting, clients: Sequence[int] = CLIENTS) -> Measured:
    """The bundle MODELS/NAME/VERSION under load from each of `clients` in turn, `rounds` times over."""
    levels = [Level(each) for each in clients]
    with served(bundle, setting) as subject:
        calls = questions.raw(subject.name, subject.pixels, subject.engine)
        for _ in range(rounds):
            for level in levels:
                reading = subject.under(calls, level.clients, seconds)
                level.rounds.append(_round(subject, reading, seconds / 2))
        return Measured(subject.name, subject.runs_on, levels)


def _round(subject: Subject, reading: Reading, seconds: float) -> Round:
    batch = max(1, round(reading.mean_batch))
    feeds = local_engine.feeds(local_engine.resized(subject.pixels, batch))
    return Round(reading, local_engine.cost(subject.engine, feeds, PREDICT, seconds), batch)


def results(measured: Measured, plot: Path | None) -> Results:
    """The table; `plot` lies in the folder that it will be written to."""
    columns = (
        "clients", "images/s", "p50 ms", "p99 ms", "mean batch", "server CPU ms/image", "engine CPU ms/image", "times",
    )  # fmt: skip
    first = measured.levels[0]
    notes = [f"On {measured.runs_on}. The engine's own figures: in another process, at the server's batch size."]
    if first.clients == 1:
        added = _median([each.added for each in first.rounds])
        notes.append(f"One client alone: p50 is {1e3 * added:+.2f} ms beside a run of the engine in process.")
    title = f"{measured.name}: raw tensors over gRPC (Open Inference Protocol), medians of {len(first.rounds)} rounds"
    return Results(title, columns, [_row(level) for level in measured.levels], notes, plot.name if plot else "")


def _row(level: Level) -> list[str]:
    rounds = level.rounds
    return [
        str(level.clients),
        f"{_median([each.reading.load.rate for each in rounds]):,.0f}",
        f"{1e3 * level.latency(0.5):.2f}",
        f"{1e3 * level.latency(0.99):.2f}",
        f"{_median([each.reading.mean_batch for each in rounds]):.1f}",
        f"{1e3 * _median([each.reading.cpu for each in rounds]):.3f}",
        f"{1e3 * _median([each.engine_cpu for each in rounds]):.3f}",
        f"{_median([each.reading.cpu / each.engine_cpu for each in rounds]):.2f}",
    ]


def draw(measured: Measured, folder: Path) -> Path:
    """Throughput and batch size against the number of clients, as a PNG in `folder`."""
    clients = [level.clients for level in measured.levels]
    figure, (above, below) = plots.stacked(f"{measured.name} on {measured.runs_on}", 2)
    alone = [[each.engine_rate for each in level.rounds] for level in measured.levels]
    rates = [[each.reading.load.rate for each in level.rounds] for level in measured.levels]
    batches = [[each.reading.mean_batch for each in level.rounds] for level in measured.levels]
    plots.band(above, clients, alone, plots.COLOURS[1], "engine alone, batches of that size")
    plots.band(above, clients, rates, plots.COLOURS[0], "server")
    plots.band(below, clients, batches, plots.COLOURS[0], "server")
    above.set_ylabel("images/s")
    below.set_ylabel("images in a batch, mean")
    below.set_xscale("log", base=2)
    below.set_xticks(clients, [str(each) for each in clients])
    below.set_xlabel("clients, each with one request at a time")
    return plots.save(figure, folder / f"concurrency-{measured.name}.png")


def _median(values: Sequence[float]) -> float:
    return float(np.median(values))


if __name__ == "__main__":
    cli(prog_name="python -m bench.concurrency")
