"""A bundle, served alone, with the same engine in this process beside it: what most measurements of our own server begin with."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench import loadgen, local_engine, meters
from bench.loadgen import Calls, Load
from bench.local_engine import Setting
from bench.server_process import RunningServer, serving
from bench.target import QUIET
from bundle import golden, manifest
from bundle.manifest import Manifest
from server.engine.base import Engine

_VERSION = "1"  # of a bundle that is served by itself


@dataclass(frozen=True)
class Reading:
    """One load, and what it meant for the server."""

    load: Load
    mean_batch: float
    cpu: float  # seconds of the server's processor time an image


@dataclass(frozen=True)
class Subject:
    """A running server, and what it serves."""

    name: str
    manifest: Manifest
    pixels: NDArray[np.uint8]  # [N, H, W, C], the golden pictures
    engine: Engine  # in this process
    server: RunningServer

    @property
    def runs_on(self) -> str:
        """Engine, precision and device, as in "onnxruntime fp32 cpu"."""
        return f"{self.engine.name} {self.engine.precision} {self.engine.device}"

    def under(self, calls: Calls, clients: int, seconds: float) -> Reading:
        """The server under load. Raises RuntimeError when an answer is wrong."""
        before = meters.batches(self.server.http, self.name, _VERSION)
        load = loadgen.run(self.server.grpc, calls, clients=clients, seconds=seconds, meter=self._cpu_seconds)
        if load.errors:
            raise RuntimeError(f"{load.errors} wrong answers to {clients} clients, the first: {load.first_error}")
        mean_batch = meters.batches(self.server.http, self.name, _VERSION).mean_since(before)
        return Reading(load, mean_batch, load.metered / len(load.latencies))

    def _cpu_seconds(self) -> float:
        return meters.cpu_seconds(self.server.process.pid)


@contextmanager
def served(bundle: Path, setting: Setting) -> Iterator[Subject]:
    """Loads the classifier in `bundle`, MODELS/NAME/VERSION, here and in a server, which runs for the block.

    Raises BundleError when it cannot be loaded, RuntimeError when the server does not serve it.
    """
    bundle = bundle.resolve()
    name = bundle.parent.name
    described = manifest.read_classifier(bundle)
    engine, chosen = local_engine.load(bundle, setting)
    with serving(bundle, "--model-name", name, *chosen.arguments(), *QUIET) as server:
        subject = Subject(name, described, golden.read(bundle, described).pixels, engine, server)
        if (running := meters.runs_on(server.http, name, _VERSION)) != subject.runs_on:
            raise RuntimeError(f"the server runs {name} on {running}, not on {subject.runs_on}")
        yield subject
