"""What the server adds for one client, and what it does under many.

One client: calls through a synchronous channel and in-process runs of the same graph alternate in blocks, so that a machine
whose speed wanders is the same machine for both. Many clients: `bench.load` in another process; batch sizes come from the
server's own metrics page.
"""

import io
import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import grpc
import numpy as np
import psutil
import typer
from grpc_health.v1.health_pb2 import HealthCheckRequest
from grpc_health.v1.health_pb2_grpc import HealthStub
from numpy.typing import NDArray
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families

from bench.errors import give_up
from bench.server_process import RunningServer, serving
from bench.stats import percentiles
from bench.tables import Results, publish
from bench.target import QUIET
from bundle import golden, manifest
from bundle.errors import BundleError
from client.convert import ImageInput, to_request
from proto.classifier_pb2_grpc import ImageClassifierStub
from server.config import Device, available_cores
from server.engine import onnxruntime

CALLS = 2000  # of each kind from one client alone
CLIENTS = (1, 4, 16, 64)
_BLOCK = 50  # calls in a row of one kind
_WARM_UP = 50

cli = typer.Typer(add_completion=False, rich_markup_mode=None)


@cli.command()
def main(
    bundle: Annotated[Path, typer.Argument(help="The bundle to measure, models/NAME/VERSION.", metavar="BUNDLE")],
    calls: Annotated[int, typer.Option(help="Calls of each kind from one client alone.", min=_BLOCK)] = CALLS,
    seconds: Annotated[float, typer.Option(help="Length of the load from each number of clients.", min=0.1)] = 5.0,
    out: Annotated[Path | None, typer.Option(help="Write the tables to this Markdown file too.")] = None,
) -> None:
    """Measure latency and throughput of a served bundle; starts and stops the server itself."""
    try:
        tables = measure(bundle, calls, seconds)
    except (BundleError, OSError, RuntimeError) as error:
        give_up(str(error))
    publish(tables, out)


def measure(bundle: Path, calls: int, seconds: float) -> list[Results]:
    """Both tables for the bundle in `bundle`, which must lie in a folder of models: MODELS/NAME/VERSION."""
    bundle = bundle.resolve()
    described = manifest.read_classifier(bundle)
    pixels = golden.read(bundle, described).pixels[:1]
    name = bundle.parent.name
    with serving(bundle.parent.parent, *QUIET) as server:
        version = int(bundle.name)
        return [
            _alone(name, version, pixels, bundle, server, calls),
            _together(name, version, pixels, server, seconds),
        ]


def _alone(
    name: str, version: int, pixels: NDArray[np.uint8], bundle: Path, server: RunningServer, calls: int
) -> Results:
    with grpc.insecure_channel(server.grpc) as channel:
        stub, health = ImageClassifierStub(channel), HealthStub(channel)
        raw, png = (to_request([image], name, version, 1, None, "") for image in (pixels[0], _png(pixels[0])))
        kinds: dict[str, Callable[[], object]] = {
            "engine alone, in this process": in_process(bundle, pixels),
            "gRPC alone, a health check": lambda: health.Check(HealthCheckRequest()),  # type: ignore[attr-defined]  # missing in the types
            "server, raw pixels": lambda: stub.Classify(raw),
            "server, PNG": lambda: stub.Classify(png),
        }
        times = interleaved(kinds, calls)
    engine = percentiles(times["engine alone, in this process"])
    rows = []
    for kind, taken in times.items():
        figures = percentiles(taken)
        added = f"{1e3 * (figures[0] - engine[0]):+.3f}" if figures != engine else ""
        rows.append((kind, *(f"{1e3 * figure:.3f}" for figure in figures), added))
    columns = ("one client, one image a call", "p50 ms", "p90 ms", "p99 ms", "added at p50, ms")
    shape = "x".join(map(str, pixels.shape[1:]))
    return Results(f"{name} {version} ({shape}): one client alone, {calls:,} calls of each kind", columns, rows)


def in_process(bundle: Path, pixels: NDArray[np.uint8]) -> Callable[[], object]:
    """A run of `bundle` at batch 1 without explanation, by the server's own engine as the server sets it up."""
    graphs = [bundle / manifest.PREDICT_MODEL]
    engine = onnxruntime.build(graphs, "fp32", Device.CPU, available_cores(), max_batch=1)
    return lambda: engine.run({"pixels": pixels}, ["probabilities"])


def interleaved(kinds: dict[str, Callable[[], object]], calls: int) -> dict[str, list[float]]:
    """Seconds of `calls` calls of each kind, in alternating blocks, after warming up."""
    times: dict[str, list[float]] = {kind: [] for kind in kinds}
    for call in kinds.values():
        for _ in range(_WARM_UP):
            call()
    while len(times[next(iter(kinds))]) < calls:
        for kind, call in kinds.items():
            for _ in range(_BLOCK):
                started = time.perf_counter()
                call()
                times[kind].append(time.perf_counter() - started)
    return times


@dataclass(frozen=True)
class _Load:
    """What `bench.load` and the metrics page say about one number of clients."""

    images_per_second: float
    p50: float
    p99: float
    mean_batch: float
    cpu_per_image: float  # seconds of processor time of the server, which other work on the machine does not change


def _together(name: str, version: int, pixels: NDArray[np.uint8], server: RunningServer, seconds: float) -> Results:
    rows = []
    for kind, image in (("raw pixels", pixels[0]), ("PNG", _png(pixels[0]))):
        for clients in CLIENTS:
            load = _load(name, version, image, server, clients, seconds)
            figures = f"{load.images_per_second:,.0f}", f"{1e3 * load.p50:.2f}", f"{1e3 * load.p99:.2f}"
            rows.append((f"{clients} × {kind}", *figures, f"{load.mean_batch:.2f}", f"{1e3 * load.cpu_per_image:.2f}"))
    columns = ("clients", "images/s", "p50 ms", "p99 ms", "mean batch", "server CPU ms/image")
    note = "Server and load generator share the cores of this machine."
    return Results(f"{name} {version}: many clients, {seconds:g} s each", columns, rows, (note,))


def _load(name: str, version: int, image: ImageInput, server: RunningServer, clients: int, seconds: float) -> _Load:
    request = to_request([image], name, version, 1, None, "").SerializeToString()
    before, busy_before = _batches(server.http, name, version), _cpu_seconds(server)
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(request)
        options = ["--target", server.grpc, "--clients", str(clients), "--seconds", str(seconds)]
        command = [sys.executable, "-m", "bench.load", file.name, *options]
        answer = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    after, busy_after = _batches(server.http, name, version), _cpu_seconds(server)
    p50, _, p99 = percentiles(answer["latencies"])
    images, runs = (now - then for now, then in zip(after, before, strict=True))
    per_second = len(answer["latencies"]) / answer["seconds"]
    return _Load(per_second, p50, p99, images / runs, (busy_after - busy_before) / images)


def _cpu_seconds(server: RunningServer) -> float:
    times = psutil.Process(server.process.pid).cpu_times()
    return times.user + times.system


def _batches(http: str, name: str, version: int) -> tuple[float, float]:
    """Images and runs of the engine so far, from the sum and count of seethrough_batch_images."""
    with urllib.request.urlopen(f"http://{http}/metrics") as response:
        families = text_string_to_metric_families(response.read().decode())
    wanted = {"model": name, "version": str(version)}
    values = {
        sample.name: sample.value
        for family in families
        if family.name == "seethrough_batch_images"
        for sample in family.samples
        if sample.labels == wanted
    }
    return values.get("seethrough_batch_images_sum", 0.0), values.get("seethrough_batch_images_count", 0.0)


def _png(pixels: NDArray[np.uint8]) -> bytes:
    """Pixels [H, W, 1 or 3] as a PNG file."""
    file = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(file, "PNG")
    return file.getvalue()


if __name__ == "__main__":
    cli(prog_name="python -m bench.latency")
