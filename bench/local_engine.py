"""The engine of a bundle in this process, loaded as the server loads it: what a server cannot be better than.

A measurement that compares the two first loads the bundle here, with the server's own choice where nothing is asked for, and
then starts a server that is told that engine and precision.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from bundle.limits import DEFAULT_MAX_PIXELS
from server.config import MIB, Device, EngineName, PrecisionName, Settings, available_cores
from server.engine.base import Array, Engine
from server.serving import loading

PREDICT = ("probabilities",)
EXPLAIN = ("probabilities", "heatmaps")

EngineOption = Annotated[EngineName, typer.Option(help="What runs the graphs, here and in the server.")]
PrecisionOption = Annotated[PrecisionName, typer.Option(help="In which arithmetic, here and in the server.")]
ThreadsOption = Annotated[int, typer.Option(help="Cores for one run of the engine; 0 lets both choose.", min=0)]


@dataclass(frozen=True)
class Setting:
    """How a bundle is to be run."""

    engine: EngineName = EngineName.AUTO
    precision: PrecisionName = PrecisionName.AUTO
    threads: int = 0
    device: Device = Device.AUTO
    max_batch: int = 0

    def arguments(self) -> list[str]:
        """As options of `python -m server`."""
        pairs = {
            "--engine": self.engine,
            "--precision": self.precision,
            "--threads": self.threads,
            "--device": self.device,
            "--max-batch": self.max_batch,
        }
        return [str(word) for pair in pairs.items() for word in pair]


@dataclass(frozen=True)
class Cost:
    """What one run took: medians of seconds by the clock, and the mean of processor time over all threads."""

    seconds: float
    cpu_seconds: float


def load(bundle: Path, setting: Setting) -> tuple[Engine, Setting]:
    """The bundle's engine, and the setting with its engine and precision, for the server. Raises BundleError."""
    engine = loading.load(bundle, _settings(bundle, setting)).engines[0]
    chosen = Setting(
        EngineName(engine.name),
        PrecisionName(engine.precision),
        setting.threads,
        Device(engine.device),
        setting.max_batch,
    )
    return engine, chosen


def feeds(pixels: NDArray[np.uint8]) -> dict[str, Array]:
    """For EXPLAIN and PREDICT: `pixels` [N, H, W, C], of each the top class by the bundle's first method."""
    return {
        "pixels": pixels,
        "targets": np.full((len(pixels), 1), -1, np.int64),
        "methods": np.zeros((len(pixels), 1), np.int64),
    }


def cost(engine: Engine, given: Mapping[str, Array], wanted: tuple[str, ...], seconds: float) -> Cost:
    """Runs the engine again and again for about `seconds`, after once that does not count."""
    engine.run(given, wanted)
    times: list[float] = []
    started, busy = time.perf_counter(), time.process_time()
    while (before := time.perf_counter()) - started < seconds or not times:
        engine.run(given, wanted)
        times.append(time.perf_counter() - before)
    return Cost(float(np.median(times)), (time.process_time() - busy) / len(times))


def resized(pixels: NDArray[np.uint8], batch: int) -> NDArray[np.uint8]:
    """`batch` images, those of `pixels` [N, H, W, C] over and over."""
    return np.resize(pixels, (batch, *pixels.shape[1:]))


def _settings(bundle: Path, setting: Setting) -> Settings:
    """The server's defaults where `setting` says nothing."""
    return Settings(
        models=bundle,
        model_name="",
        host="127.0.0.1",
        grpc_port=0,
        http_port=0,
        device=setting.device,
        engine=setting.engine,
        precision=setting.precision,
        threads=setting.threads,
        decode_threads=available_cores(),
        max_batch=setting.max_batch,
        max_inflight_images=512,
        max_inflight_bytes=256 * MIB,
        max_request_bytes=32 * MIB,
        max_image_pixels=DEFAULT_MAX_PIXELS,
        grace_seconds=0,
        drain_seconds=0,
    )
