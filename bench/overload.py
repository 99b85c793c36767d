"""What a server does that is asked ten times as much as it can: who is answered in time, how fast others are refused, and what it costs.

First as many clients as keep the engine busy, each of whom waits for its answer: the most that the server can do. Then an open loop at ten
times that rate, where nobody waits for anybody, each call with a deadline. The load generator shares the machine with the server.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import grpc
import numpy as np
import psutil
import typer

from bench import loadgen, questions
from bench.beside import beside
from bench.errors import give_up
from bench.loadgen import Load
from bench.local_engine import EngineOption, PrecisionOption, Setting, ThreadsOption
from bench.subject import Subject, served
from bench.tables import Results, publish
from bundle.errors import BundleError
from server.config import EngineName, PrecisionName

TIMES, CLIENTS, SECONDS, BEST_SECONDS = 10, 32, 60.0, 10.0
# The most calls that may be in flight before the generator gives up: those of a second or two.
MOST = 20_000
_CONNECTIONS = 8
_OK, _REFUSED = 0, int(grpc.StatusCode.RESOURCE_EXHAUSTED.value[0])

cli = typer.Typer(add_completion=False, rich_markup_mode=None)


@dataclass
class Memory:
    """Of the server, in MiB, twice a second."""

    samples: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Measured:
    """A served bundle at its best, and under far too much."""

    name: str
    runs_on: str
    deadline_ms: int
    best: Load
    flood: Load
    memory: Memory


@cli.command()
def main(
    bundles: Annotated[
        list[Path], typer.Argument(help="Bundles to measure, MODELS/NAME/VERSION.", metavar="BUNDLE...")
    ],
    seconds: Annotated[float, typer.Option(help="Length of the overload.", min=1)] = SECONDS,
    times: Annotated[float, typer.Option(help="How many times what the server can do is asked of it.", min=1)] = TIMES,
    engine: EngineOption = EngineName.AUTO,
    precision: PrecisionOption = PrecisionName.AUTO,
    threads: ThreadsOption = 0,
    out: Annotated[Path | None, typer.Option(help="Write the table to this Markdown file too.")] = None,
) -> None:
    """Measure overload: answers in time, refusals, memory."""
    try:
        measured = [measure(each, seconds, times, Setting(engine, precision, threads)) for each in bundles]
    except (BundleError, OSError, RuntimeError, ValueError) as error:
        give_up(str(error))
    publish([results(measured, times, seconds)], out)


def measure(bundle: Path, seconds: float, times: float, setting: Setting) -> Measured:
    """The bundle MODELS/NAME/VERSION at its best, then at `times` that rate."""
    with served(bundle, setting) as subject:
        calls = questions.raw(subject.name, subject.pixels, subject.engine)
        best = subject.under(calls, CLIENTS, min(seconds, BEST_SECONDS)).load
        # Twice what a busy server takes: it can be kept, and not by everybody.
        deadline_ms = max(50, round(2000 * float(np.quantile(best.latencies, 0.5))))
        with _watched(subject) as memory:
            flood = loadgen.run(
                subject.server.grpc,
                calls,
                clients=MOST,
                connections=_CONNECTIONS,
                seconds=seconds,
                rate=times * best.rate,
                timeout_ms=deadline_ms,
            )
        return Measured(subject.name, subject.runs_on, deadline_ms, best, flood, memory)


@contextmanager
def _watched(subject: Subject) -> Iterator[Memory]:
    """Reads the server's memory for the block."""
    memory = Memory()
    process = psutil.Process(subject.server.process.pid)

    def watch(over: threading.Event) -> None:
        while not over.wait(0.5):
            memory.samples.append(process.memory_info().rss / 2**20)

    with beside(watch):
        yield memory


def results(measured: list[Measured], times: float, seconds: float) -> Results:
    """The table, a row for each bundle."""
    columns = (
        f"{times:g} times too much, {seconds:g} s",
        "best images/s",
        "asked for/s",
        "answered/s",
        "of the best",
        "deadline ms",
        "answered p99 ms",
        "too late",
        "refused",
        "refused p99 ms",
        "RSS MiB",
    )
    note = (
        f"Best: {CLIENTS} clients who wait for their answers. Too late: calls that were taken in and not answered by their deadline, of those "
        "that were taken in. RSS: after a tenth of the time, and the most after that."
    )
    return Results("Overload", columns, [_row(each) for each in measured], (note,))


def _row(of: Measured) -> tuple[str, ...]:
    flood, statuses = of.flood, of.flood.statuses
    in_time = (statuses == _OK) & (flood.latencies <= of.deadline_ms / 1000)
    answered, refused = flood.latencies[in_time], flood.latencies[statuses == _REFUSED]
    late = flood.latencies[~in_time & (statuses != _REFUSED)]
    rate = len(answered) / flood.seconds
    early = len(of.memory.samples) // 10
    return (
        f"{of.name}, {of.runs_on}",
        f"{of.best.rate:,.0f}",
        f"{len(flood.latencies) / flood.seconds:,.0f}",
        f"{rate:,.0f}",
        f"{rate / of.best.rate:.2f}",
        f"{of.deadline_ms}",
        _milliseconds(answered),
        f"{len(late) / max(1, len(late) + len(answered)):.1%}",
        f"{len(refused) / len(statuses):.1%}",
        _milliseconds(refused),
        f"{of.memory.samples[early]:.0f}, {max(of.memory.samples[early:]):.0f}",
    )


def _milliseconds(latencies: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> str:
    return f"{1e3 * np.quantile(latencies, 0.99):.1f}" if len(latencies) else ""


if __name__ == "__main__":
    cli(prog_name="python -m bench.overload")
