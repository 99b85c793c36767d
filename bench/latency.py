"""What the server adds for one client who waits for each answer, in the ways in which one can ask.

Calls through a synchronous channel in Python and in-process runs of the same engine alternate in blocks, so that a machine whose speed
wanders is the same machine for both. Health checks tell what client and transport take of it. `bench.concurrency` has the generator in C,
which costs less than this client, and many clients.
"""

import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import grpc
import numpy as np
import typer
from grpc_health.v1.health_pb2 import HealthCheckRequest
from grpc_health.v1.health_pb2_grpc import HealthStub
from numpy.typing import NDArray
from PIL import Image

from bench import questions
from bench.errors import give_up
from bench.loadgen import MODEL_INFER
from bench.local_engine import PREDICT, EngineOption, PrecisionOption, Setting, ThreadsOption
from bench.stats import percentiles
from bench.subject import Subject, served
from bench.tables import Results, publish
from bundle.errors import BundleError
from client.convert import to_request
from proto.classifier_pb2_grpc import ImageClassifierStub
from server.config import EngineName, PrecisionName

SECONDS = 4.0  # of each kind
_BLOCK_SECONDS = 0.2
_ENGINE = "engine alone, in this process"

cli = typer.Typer(add_completion=False, rich_markup_mode=None)

Kinds = dict[str, Callable[[], object]]


@cli.command()
def main(
    bundles: Annotated[
        list[Path], typer.Argument(help="Bundles to measure, MODELS/NAME/VERSION.", metavar="BUNDLE...")
    ],
    seconds: Annotated[float, typer.Option(help="How long to call in each way.", min=0.1)] = SECONDS,
    engine: EngineOption = EngineName.AUTO,
    precision: PrecisionOption = PrecisionName.AUTO,
    threads: ThreadsOption = 0,
    out: Annotated[Path | None, typer.Option(help="Write the tables to this Markdown file too.")] = None,
) -> None:
    """Measure what one client waits for; starts and stops the server itself."""
    try:
        tables = [measure(each, seconds, Setting(engine, precision, threads)) for each in bundles]
    except (BundleError, OSError, RuntimeError, grpc.RpcError) as error:
        give_up(str(error))
    publish(tables, out)


def measure(bundle: Path, seconds: float, setting: Setting) -> Results:
    """One picture of the bundle MODELS/NAME/VERSION, over and over."""
    with served(bundle, setting) as subject, grpc.insecure_channel(subject.server.grpc) as channel:
        times = interleaved(_kinds(subject, channel), seconds)
        engine = percentiles(times[_ENGINE])
        rows = []
        for kind, taken in times.items():
            figures = percentiles(taken)
            added = "" if kind == _ENGINE else f"{1e3 * (figures[0] - engine[0]):+.3f}"
            rows.append((kind, f"{len(taken):,}", *(f"{1e3 * figure:.3f}" for figure in figures), added))
        columns = ("one picture a call", "calls", "p50 ms", "p90 ms", "p99 ms", "added at p50, ms")
        shape = "x".join(map(str, subject.pixels.shape[1:]))
        return Results(f"{subject.name} ({shape}) on {subject.runs_on}: one client alone", columns, rows)


def _kinds(subject: Subject, channel: grpc.Channel) -> Kinds:
    picture = subject.pixels[:1]
    stub, health = ImageClassifierStub(channel), HealthStub(channel)
    infer: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(MODEL_INFER)
    (body,) = questions.raw_bodies(subject.name, picture, heatmaps=False)
    raw, png = (to_request([image], subject.name, 0, 1, None, "") for image in (picture[0], _png(picture[0])))
    return {
        _ENGINE: lambda: subject.engine.run({"pixels": picture}, PREDICT),
        "a health check": lambda: health.Check(HealthCheckRequest()),  # type: ignore[attr-defined]  # missing in the types
        "raw pixels, Open Inference Protocol": lambda: infer(body),
        "raw pixels, ImageClassifier": lambda: stub.Classify(raw),
        "PNG, ImageClassifier": lambda: stub.Classify(png),
    }


def interleaved(kinds: Kinds, seconds: float) -> dict[str, list[float]]:
    """Seconds of each call, of each kind in blocks that alternate until each has had `seconds`; the first block does not count."""
    for call in kinds.values():
        _block(call)
    times: dict[str, list[float]] = {kind: [] for kind in kinds}
    for _ in range(max(1, round(seconds / _BLOCK_SECONDS))):
        for kind, call in kinds.items():
            times[kind] += _block(call)
    return times


def _block(call: Callable[[], object]) -> list[float]:
    times: list[float] = []
    started = time.perf_counter()
    while not times or time.perf_counter() - started < _BLOCK_SECONDS:
        before = time.perf_counter()
        call()
        times.append(time.perf_counter() - before)
    return times


def _png(pixels: NDArray[np.uint8]) -> bytes:
    """Pixels [H, W, 1 or 3] as a PNG file."""
    file = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(file, "PNG")
    return file.getvalue()


if __name__ == "__main__":
    cli(prog_name="python -m bench.latency")
