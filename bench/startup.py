"""From the start of the process to SERVING, what takes that time, and the memory that the server settles at.

The clock stops when the standard health service says SERVING. As in an image, Python's bytecode is there: a first start, which does not
count, compiles it where that was not done. What the loading of the bundle consists of is read from the server's own log.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Annotated

import grpc
import numpy as np
import typer
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from numpy.typing import NDArray

from bench import meters, questions
from bench.errors import give_up
from bench.loadgen import MODEL_INFER
from bench.meters import MB, Memory
from bench.server_process import RunningServer, serving
from bench.tables import Results, publish
from bundle import golden, manifest
from bundle.errors import BundleError

ROUNDS = 5
_REQUESTS = 200
_SETTINGS = {
    "auto": (),
    "onnxruntime fp32": ("--engine", "onnxruntime", "--precision", "fp32"),
    "openvino": ("--engine", "openvino"),
}
_WANTED = "The targets, for MobileNetV2: 1.5 s and 400 MB."
# "... DEBUG   server.serving.loading: verify took 0.051 s"
_STAGE = re.compile(r" server\.serving\.loading: ([a-z][\w ,.]*) took ([\d.]+) s$", re.MULTILINE)
_MODEL_VERSION = "1"
_REST = "the rest, less what overlaps"

cli = typer.Typer(add_completion=False, rich_markup_mode=None)

Stages = Mapping[str, float]  # seconds, in their order


@dataclass(frozen=True)
class Start:
    """One start of a server."""

    runs_on: str
    seconds: float  # until SERVING
    cpu_seconds: float  # until then
    fresh: Memory
    used: Memory  # after some requests
    stages: Stages


@dataclass(frozen=True)
class Measured:
    """All starts with one setting."""

    setting: str
    starts: list[Start] = field(default_factory=list)


@cli.command()
def main(
    bundles: Annotated[
        list[Path], typer.Argument(help="Bundles to measure, MODELS/NAME/VERSION.", metavar="BUNDLE...")
    ],
    rounds: Annotated[int, typer.Option(help="Starts with each setting; the median counts.", min=1)] = ROUNDS,
    out: Annotated[Path | None, typer.Option(help="Write the tables to this Markdown file too.")] = None,
) -> None:
    """Measure how long a server takes to start, what it does meanwhile, and its memory."""
    try:
        tables = [table for each in bundles for table in results(each.resolve().parent.name, measure(each, rounds))]
    except (BundleError, OSError, RuntimeError) as error:
        give_up(str(error))
    publish(tables, out)


def measure(bundle: Path, rounds: int, settings: Mapping[str, Sequence[str]] = _SETTINGS) -> list[Measured]:
    """Starts a server on the bundle MODELS/NAME/VERSION, with each of the settings in turn, `rounds` times over."""
    bundle = bundle.resolve()
    pixels = golden.read(bundle, manifest.read_classifier(bundle)).pixels
    measured = [Measured(name) for name in settings]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    for options in settings.values():
        _start(bundle, pixels, options, environment, importing=0)
    for _ in range(rounds):
        importing = _importing(environment)
        for each in measured:
            each.starts.append(_start(bundle, pixels, settings[each.setting], environment, importing))
    return measured


def _importing(environment: Mapping[str, str]) -> float:
    """Seconds of a process that imports what the server does, and does nothing else."""
    code = "import server.__main__, server.app, server.serving.repository"
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    return time.perf_counter() - started


def _start(
    bundle: Path,
    pixels: NDArray[np.uint8],
    options: Sequence[str],
    environment: Mapping[str, str],
    importing: float,
) -> Start:
    name = bundle.parent.name
    arguments = ("--model-name", name, "--log-level", "debug", *options)
    with tempfile.TemporaryFile("w+") as log:
        started = time.perf_counter()
        try:
            with serving(bundle, *arguments, log=log, environment=environment) as server:
                _require_serving(server)
                took = time.perf_counter() - started
                cpu, fresh = meters.cpu_seconds(server.process.pid), meters.memory(server.process.pid)
                _use(server, name, pixels)
                used = meters.memory(server.process.pid)
                runs_on = meters.runs_on(server.http, name, _MODEL_VERSION)
        except (RuntimeError, grpc.RpcError) as error:
            raise RuntimeError(f"{error}: {_complaints(log)}") from error
        log.seek(0)
        loading = stages(log.read())
    rest = took - importing - sum(loading.values())
    return Start(runs_on, took, cpu, fresh, used, {"interpreter and imports": importing, **loading, _REST: rest})


def _require_serving(server: RunningServer) -> None:
    with grpc.insecure_channel(server.grpc) as channel:
        status = HealthStub(channel).Check(HealthCheckRequest()).status  # type: ignore[attr-defined]  # missing in the types
    if status != HealthCheckResponse.SERVING:
        raise RuntimeError("the server does not serve")


def _complaints(log: IO[str]) -> str:
    log.seek(0)
    return " ".join(line.strip() for line in log if " ERROR " in line or line.startswith("error:")) or "it says nothing"


def _use(server: RunningServer, name: str, pixels: NDArray[np.uint8]) -> None:
    bodies = questions.raw_bodies(name, pixels, heatmaps=False)
    with grpc.insecure_channel(server.grpc) as channel:
        ask: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(MODEL_INFER)
        for call in range(_REQUESTS):
            ask(bodies[call % len(bodies)])


def stages(log: str) -> dict[str, float]:
    """Seconds of each stage of loading that the server's log names, in their order; one that comes again adds to itself."""
    found: dict[str, float] = {}
    for stage, seconds in _STAGE.findall(log):
        found[stage] = found.get(stage, 0.0) + float(seconds)
    return found


def results(name: str, measured: Sequence[Measured]) -> list[Results]:
    """What a start takes, and what it consists of."""
    rounds = len(measured[0].starts)
    columns = ("setting", "runs on", "s to SERVING", "CPU s", "RSS MB", "PSS MB", "RSS MB, used", "PSS MB, used")
    note = f"Used: after {_REQUESTS} requests. {_WANTED}"
    overview = Results(f"{name}: starting, medians of {rounds}", columns, [_row(each) for each in measured], (note,))
    names = dict.fromkeys(stage for each in measured for start in each.starts for stage in start.stages)
    ordered = [*(stage for stage in names if stage != _REST), _REST]
    rows = [(stage, *(_milliseconds(each, stage) for each in measured)) for stage in ordered]
    head = ("ms", *(each.setting for each in measured))
    alone = (
        "Interpreter and imports: a process of its own that does nothing else. The rest: opening the ports, answering."
    )
    return [overview, Results(f"{name}: what a start consists of, medians of {rounds}", head, rows, (alone,))]


def _row(measured: Measured) -> list[str]:
    starts = measured.starts
    memory = [
        (each.fresh.resident, each.fresh.proportional, each.used.resident, each.used.proportional) for each in starts
    ]
    return [
        measured.setting,
        starts[-1].runs_on,
        f"{np.median([each.seconds for each in starts]):.2f}",
        f"{np.median([each.cpu_seconds for each in starts]):.2f}",
        *(f"{figure / MB:,.0f}" for figure in np.median(memory, axis=0)),
    ]


def _milliseconds(measured: Measured, stage: str) -> str:
    found = [start.stages[stage] for start in measured.starts if stage in start.stages]
    return f"{1e3 * np.median(found):,.0f}" if found else ""


if __name__ == "__main__":
    cli(prog_name="python -m bench.startup")
