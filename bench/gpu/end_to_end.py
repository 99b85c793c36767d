"""The server on a GPU, end to end: raw tensors and JPEG files from several client processes.

Before each load every request is sent once and its answer compared: with the golden outputs for raw pixels, with the answer to the
pixels that are decoded here for files.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc
import numpy as np
from numpy.typing import NDArray

from bench import jpeg, meters, photographs, questions
from bench.gpu import generator, watch
from bench.loadgen import MODEL_INFER
from bench.loadgen.answers import from_model_infer
from bench.local_engine import Setting
from bench.server_process import RunningServer, serving
from bench.tables import Results
from bench.target import QUIET
from bundle import golden, manifest, preprocess
from server.config import Device

_VERSION = "1"  # of a bundle that is served by itself
_INFLIGHT_MIB = 4096  # many clients upload large pictures


@dataclass(frozen=True)
class Plan:
    """How hard and how often the server is loaded."""

    processes: int  # of the load generator
    clients: int
    rounds: int
    seconds: float
    photographs: Path | None  # a folder of JPEG files; None: scikit-learn's


@dataclass(frozen=True)
class Kind:
    """What some clients ask for."""

    name: str
    clients: int
    bodies: Sequence[bytes]


@dataclass(frozen=True)
class Round:
    """One load."""

    rate: float
    p50: float  # seconds
    p99: float
    mean_batch: float
    cores: float  # that the server kept busy
    gpu: watch.Use


def measure(bundle: Path, setting: Setting, processes: int, plan: Plan, machine: str) -> Results:
    """The bundle MODELS/NAME/VERSION, served by itself from `processes` serving processes; `machine` is for the table.

    Raises RuntimeError when the server cannot run so, or an answer is wrong.
    """
    bundle = bundle.resolve()
    name = bundle.parent.name
    options = [*setting.arguments(), "--processes", str(processes), "--max-inflight-mib", str(_INFLIGHT_MIB), *QUIET]
    with serving(bundle, "--model-name", name, *options) as server:
        runs_on = meters.runs_on(server.http, name, _VERSION)
        kinds = list(_kinds(bundle, setting, plan, server))
        found: dict[str, list[Round]] = {}
        for _ in range(plan.rounds):
            for kind in kinds:
                found.setdefault(kind.name, []).append(_round(server, name, kind, setting, plan))
    title = f"{name} on {runs_on}, {processes} serving process{'es' if processes > 1 else ''}"
    note = f"{plan.processes} client processes; {plan.seconds:g} s each, medians of {plan.rounds} rounds."
    return Results(title, _COLUMNS, [_row(*found_of) for found_of in found.items()], (note, machine))


def _kinds(bundle: Path, setting: Setting, plan: Plan, server: RunningServer) -> Iterator[Kind]:
    described = manifest.read_classifier(bundle)
    samples = golden.read(bundle, described)
    form = next(form for form in described.precisions if form.name == setting.precision.value)
    name, many = bundle.parent.name, plan.clients
    raw, explained = (questions.raw_bodies(name, samples.pixels, heatmaps=wanted) for wanted in (False, True))
    for bodies in (raw, explained):
        _check(server, bodies, samples.probabilities, form.tolerance.probabilities)
    yield Kind("raw, one client", 1, raw)
    yield Kind(f"raw, {many} clients", many, raw)
    yield Kind(f"raw, explained, {many} clients", many, explained)
    pictures = photographs.read(plan.photographs)
    for size in jpeg.SIZES:
        files = photographs.files(pictures, size)
        pixels = np.stack([preprocess.from_bytes(file, described.preprocess).pixels for file in files])
        expected = np.stack([_ask(server, body) for body in questions.raw_bodies(name, pixels, heatmaps=False)])
        bodies = questions.file_bodies(name, files)
        _check(server, bodies, expected, form.tolerance.probabilities)
        yield Kind(f"JPEG {size[0]} x {size[1]}, {many} clients", many, bodies)


def _ask(server: RunningServer, body: bytes) -> NDArray[np.float32]:
    with grpc.insecure_channel(server.grpc) as channel:
        ask: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(MODEL_INFER)
        try:
            return from_model_infer(ask(body))
        except grpc.RpcError as error:
            raise RuntimeError(f"the server refuses a request of the load: {error}") from error


def _check(server: RunningServer, bodies: Sequence[bytes], expected: NDArray[np.float32], allowed: float) -> None:
    answers = np.stack([_ask(server, body) for body in bodies])
    difference = float(np.abs(answers - expected).max())
    if not difference <= allowed:
        raise RuntimeError(f"answers differ from the expected by {difference:.1e}, more than {allowed:.1e}")


def _round(server: RunningServer, name: str, kind: Kind, setting: Setting, plan: Plan) -> Round:
    pid, before = server.process.pid, meters.batches(server.http, name, _VERSION)
    with watch.watching(setting.device is Device.CUDA) as gpu:
        load = generator.run(
            server.grpc, kind.bodies, plan.processes, kind.clients, plan.seconds, lambda: meters.cpu_seconds(pid)
        )
    p50, p99 = np.quantile(load.latencies, (0.5, 0.99))
    mean_batch = meters.batches(server.http, name, _VERSION).mean_since(before)
    return Round(load.rate, float(p50), float(p99), mean_batch, load.metered / plan.seconds, gpu)


_COLUMNS = (
    "requests of one image", "images/s", "p50 ms", "p99 ms", "mean batch", "server's cores", "GPU busy %", "GPU memory MiB",
)  # fmt: skip


def _row(name: str, rounds: Sequence[Round]) -> list[str]:
    gpu = watch.Use(
        [each for found in rounds for each in found.gpu.busy], [each for found in rounds for each in found.gpu.memory]
    )
    return [
        name,
        f"{np.median([each.rate for each in rounds]):,.0f}",
        f"{1e3 * np.median([each.p50 for each in rounds]):.2f}",
        f"{1e3 * np.median([each.p99 for each in rounds]):.2f}",
        f"{np.median([each.mean_batch for each in rounds]):.1f}",
        f"{np.median([each.cores for each in rounds]):.1f}",
        *gpu.shown(),
    ]
