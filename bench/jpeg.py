"""JPEG files of three sizes: what the server makes of them beside what decoding and the engine allow, and whom large ones hold up.

Decoding alone runs in as many threads as the server decodes in, the engine alone at the server's batch size, both in this process, after
each load. They share the cores in the server, so that at best it takes the time of both together.

Large uploads are work for the cores, and whoever else wants an answer waits longer, as he does beside any other work. That they do not
hold up the event loop shows in health checks beside them, against health checks beside small pictures that keep the server as busy.
"""

import io
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from PIL import Image

from bench import loadgen, local_engine, photographs, questions
from bench.errors import give_up
from bench.loadgen import Calls
from bench.local_engine import PREDICT, EngineOption, PrecisionOption, Setting, ThreadsOption
from bench.photographs import Size
from bench.subject import Reading, Subject, served
from bench.tables import Results, publish
from bundle import preprocess
from bundle.errors import BundleError
from bundle.preprocess import PreprocessSpec
from server.config import EngineName, PrecisionName, available_cores

SIZES: tuple[Size, ...] = ((500, 375), (1920, 1080), (4032, 3024))
CLIENTS, ROUNDS, SECONDS = 16, 5, 2.0
# Of the CPU time that plain Pillow takes for the largest.
MOST_DECODING = 0.25
_UPLOADERS = 4
_HEALTH = "/grpc.health.v1.Health/Check"

cli = typer.Typer(add_completion=False, rich_markup_mode=None)


@dataclass(frozen=True)
class Round:
    """One load, and decoding and the engine alone after it."""

    reading: Reading
    decode_rate: float  # pictures a second
    engine_rate: float  # images a second
    decode_cpu: float  # seconds a picture
    pillow_cpu: float  # seconds a picture

    @property
    def limit(self) -> float:
        """Images a second when the cores do nothing but decode and infer."""
        return 1 / (1 / self.decode_rate + 1 / self.engine_rate)


@dataclass(frozen=True)
class Measured:
    """One size of picture."""

    size: Size
    bytes: float  # a file, mean
    rounds: list[Round] = field(default_factory=list)

    @property
    def decoding(self) -> float:
        """CPU time of our decoding in parts of plain Pillow's."""
        return _median(each.decode_cpu / each.pillow_cpu for each in self.rounds)


Waits = dict[str, list[NDArray[np.float64]]]
"""Seconds of each health check, by what else the server had to do, for each round."""


@cli.command()
def main(
    bundle: Annotated[Path, typer.Argument(help="The bundle to measure, MODELS/NAME/VERSION.", metavar="BUNDLE")],
    rounds: Annotated[int, typer.Option(help="Rounds over all sizes; the median counts.", min=1)] = ROUNDS,
    seconds: Annotated[float, typer.Option(help="Length of each load.", min=0.1)] = SECONDS,
    engine: EngineOption = EngineName.AUTO,
    precision: PrecisionOption = PrecisionName.AUTO,
    threads: ThreadsOption = 0,
    out: Annotated[Path | None, typer.Option(help="Write the tables to this Markdown file too.")] = None,
) -> None:
    """Measure a served bundle with JPEG files; the exit status is 1 if large ones cost more to decode than they may."""
    try:
        tables, decoding = measure(bundle, rounds, seconds, Setting(engine, precision, threads))
    except (BundleError, OSError, RuntimeError, ValueError) as error:
        give_up(str(error))
    publish(tables, out)
    if decoding > MOST_DECODING:
        give_up(f"decoding the largest takes {decoding:.2f} of plain Pillow's CPU time, more than {MOST_DECODING}")


def measure(bundle: Path, rounds: int, seconds: float, setting: Setting) -> tuple[list[Results], float]:
    """Both tables for the bundle MODELS/NAME/VERSION, and `decoding` of the largest size."""
    pictures = {size: photographs.files(photographs.read(), size) for size in SIZES}
    sizes = [Measured(size, float(np.mean([len(file) for file in files]))) for size, files in pictures.items()]
    waits: Waits = {}
    with served(bundle, setting) as subject:
        calls = {size: _calls(subject, files) for size, files in pictures.items()}
        for _ in range(rounds):
            for each in sizes:
                each.rounds.append(_round(subject, calls[each.size], pictures[each.size], seconds))
            for kind, beside in _company(calls).items():
                waits.setdefault(kind, []).append(_health_checks(subject, beside, seconds))
        title = f"{subject.name} on {subject.runs_on}, medians of {rounds} rounds"
        return [_table(title, sizes), _waiting(title, waits)], sizes[-1].decoding


def _calls(subject: Subject, files: Sequence[bytes]) -> Calls:
    pixels = np.stack([preprocess.from_bytes(file, subject.manifest.preprocess).pixels for file in files])
    return questions.files(subject.name, files, pixels, subject.engine)


def _round(subject: Subject, calls: Calls, files: Sequence[bytes], seconds: float) -> Round:
    spec = subject.manifest.preprocess
    reading = subject.under(calls, CLIENTS, seconds)
    batch = max(1, round(reading.mean_batch))
    feeds = local_engine.feeds(local_engine.resized(subject.pixels, batch))
    alone = local_engine.cost(subject.engine, feeds, PREDICT, seconds / 4)
    with ThreadPoolExecutor(available_cores()) as workers:
        rate, _ = _decoding(lambda file: preprocess.from_bytes(file, spec), files, workers, seconds / 4)
    with ThreadPoolExecutor(1) as worker:
        _, ours = _decoding(lambda file: preprocess.from_bytes(file, spec), files, worker, seconds / 4)
        _, plain = _decoding(lambda file: plain_pillow(file, spec), files, worker, seconds / 4)
    return Round(reading, rate, batch / alone.seconds, ours, plain)


def _decoding(
    decode: Callable[[bytes], object], files: Sequence[bytes], workers: ThreadPoolExecutor, seconds: float
) -> tuple[float, float]:
    """Pictures a second, and CPU seconds a picture, over whole rounds through the files until `seconds` have passed."""
    many = [*files] * (2 * available_cores())
    done, started, busy = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - started < seconds or not done:
        done += len(list(workers.map(decode, many)))
    return done / (time.perf_counter() - started), (time.process_time() - busy) / done


def plain_pillow(data: bytes, spec: PreprocessSpec) -> NDArray[np.uint8]:
    """A picture as anyone would bring it to the model's input with Pillow: decoded whole, the same part resized."""
    with Image.open(io.BytesIO(data)) as image:
        return preprocess.from_image(image, spec).pixels


def _company(calls: dict[Size, Calls]) -> dict[str, Calls | None]:
    small, large = calls[SIZES[0]], calls[SIZES[-1]]
    return {"nothing": None, f"uploads of {_named(SIZES[0])}": small, f"uploads of {_named(SIZES[-1])}": large}


def _health_checks(subject: Subject, beside: Calls | None, seconds: float) -> NDArray[np.float64]:
    """Seconds of each health check of one client, `beside` the same of some uploaders."""
    target = subject.server.grpc
    with ThreadPoolExecutor(1) as background:
        # Begins before and ends after the health checks, warming up included.
        uploads = background.submit(subject.under, beside, _UPLOADERS, seconds + 1) if beside else None
        load = loadgen.run(target, Calls([b""], path=_HEALTH), seconds=seconds)
        if uploads:
            uploads.result()
    if load.errors:
        raise RuntimeError(f"{load.errors} health checks failed, the first: {load.first_error}")
    return load.latencies


def _table(title: str, sizes: Sequence[Measured]) -> Results:
    columns = (
        "JPEG files", "kB", "images/s", "decode only", "engine only", "both, at best", "of that", "p50 ms",
        "server CPU ms", "decoding CPU ms", "plain Pillow's", "times",
    )  # fmt: skip
    notes = (
        f"{CLIENTS} requests at a time. Decode only: {available_cores()} threads; engine only: at the server's batch size. Photographs "
        f"resized, JPEG quality {photographs.QUALITY}. Plain Pillow decodes the whole picture and resizes it.",
        f"Decoding the largest is to take at most {MOST_DECODING} of plain Pillow's CPU time.",
    )
    return Results(f"JPEG files: {title}", columns, [_row(each) for each in sizes], notes)


def _row(measured: Measured) -> list[str]:
    rounds = measured.rounds
    latencies = np.concatenate([each.reading.load.latencies for each in rounds])
    return [
        _named(measured.size),
        f"{measured.bytes / 1000:,.0f}",
        f"{_median(each.reading.load.rate for each in rounds):,.0f}",
        f"{_median(each.decode_rate for each in rounds):,.0f}",
        f"{_median(each.engine_rate for each in rounds):,.0f}",
        f"{_median(each.limit for each in rounds):,.0f}",
        f"{_median(each.reading.load.rate / each.limit for each in rounds):.2f}",
        f"{1e3 * np.median(latencies):.1f}",
        f"{1e3 * _median(each.reading.cpu for each in rounds):.1f}",
        f"{1e3 * _median(each.decode_cpu for each in rounds):.1f}",
        f"{1e3 * _median(each.pillow_cpu for each in rounds):.1f}",
        f"{measured.decoding:.2f}",
    ]


def _waiting(title: str, waits: Waits) -> Results:
    columns = ("health checks beside", "a second", "p50 ms", "p99 ms", "longest ms")
    rows = []
    for kind, rounds in waits.items():
        found = [np.quantile(each, (0.5, 0.99, 1)) for each in rounds]
        figures = [f"{1e3 * figure:.2f}" for figure in np.median(found, axis=0)]
        rows.append((kind, f"{_median(len(each) / each.sum() for each in rounds):,.0f}", *figures))
    note = f"One client asks for the health, {_UPLOADERS} others upload."
    return Results(f"Whom uploads hold up: {title}", columns, rows, (note,))


def _named(size: Size) -> str:
    return f"{size[0]} x {size[1]}"


def _median(values: Iterable[float]) -> float:
    return float(np.median([*values]))


if __name__ == "__main__":
    cli(prog_name="python -m bench.jpeg")
