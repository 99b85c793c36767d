"""Which engine runs a bundle, in which precision, on how many threads.

On CPUs that is measured, on the machine that is to serve, with one of the bundle's golden samples: OpenVINO takes a half or a sixth of
ONNX Runtime's time where the processor has AMX, and up to twice as much where it does not; a network of 0.2 ms is no faster on two
threads than on one, and takes 60 to 90 % more CPU time.
"""

import importlib.util
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bundle.manifest import Manifest, TensorManifest
from server.config import Device, EngineName, Settings, available_cores
from server.engine import onnxruntime
from server.engine.base import Array, Engine

log = logging.getLogger(__name__)

# Another choice must be this much faster than the one before to be taken.
_WORTH = 0.9
# A network that takes less on one thread gains nothing from others.
_TINY_SECONDS = 0.001
_ROUNDS = 3


@dataclass(frozen=True)
class Probe:
    """What is run to measure an engine: a sample, and the outputs of a plain prediction."""

    feeds: Mapping[str, Array]  # [1, ...] each
    wanted: Sequence[str]


@dataclass(frozen=True)
class Choice:
    """An engine and the threads that it may use for one run."""

    engine: EngineName
    threads: int


def build(folder: Path, manifest: Manifest | TensorManifest, settings: Settings, probe: Probe) -> Engine:
    """Compiles the bundle's most accurate form for the engine that the settings name, or for the fastest one here.

    Raises RuntimeError when an engine or a device that is asked for is not there.
    """
    precision, graphs = _most_accurate(folder, manifest)

    def compiled(choice: Choice, graphs: Sequence[Path]) -> Engine:
        if choice.engine is EngineName.OPENVINO:
            from server.engine import openvino

            return openvino.build(graphs, precision, choice.threads)
        return onnxruntime.build(graphs, precision, settings.device, choice.threads, settings.max_batch)

    def seconds(choice: Choice) -> float:
        found = shortest(compiled(choice, graphs[:1]), probe, time.perf_counter)
        log.debug("%s: %s takes %.3f ms on %d threads", folder, choice.engine, 1e3 * found, choice.threads)
        return found

    return compiled(choose(settings, seconds), graphs)


def choose(settings: Settings, seconds: Callable[[Choice], float]) -> Choice:
    """The engine that the settings ask for; where they leave it open, the one that takes the fewest `seconds`.

    Raises RuntimeError when OpenVINO is asked for and not installed, or asked for on a GPU.
    """
    cores = settings.threads or available_cores()
    on_gpu = settings.device is not Device.CPU and onnxruntime.has_gpu()
    if settings.engine is EngineName.OPENVINO:
        if settings.device is Device.CUDA or not _has_openvino():
            raise RuntimeError(
                "engine openvino was asked for, but it runs on CPUs only and must be installed: pip install openvino"
            )
        return Choice(EngineName.OPENVINO, cores)
    if on_gpu or settings.device is Device.CUDA:
        return Choice(EngineName.ONNXRUNTIME, cores)
    best = Choice(EngineName.ONNXRUNTIME, settings.threads or 1)
    others = [] if best.threads == cores else [Choice(EngineName.ONNXRUNTIME, cores)]
    if settings.engine is EngineName.AUTO and _has_openvino():
        others.append(Choice(EngineName.OPENVINO, cores))
    if not others or (least := seconds(best)) < _TINY_SECONDS:
        return best
    for other in others:
        if (found := seconds(other)) < _WORTH * least:
            best, least = other, found
    return best


def shortest(engine: Engine, probe: Probe, clock: Callable[[], float]) -> float:
    """The shortest of a few runs of `probe`, in seconds."""
    engine.run(probe.feeds, probe.wanted)  # the first one also allocates
    times = []
    for _ in range(_ROUNDS):
        started = clock()
        engine.run(probe.feeds, probe.wanted)
        times.append(clock() - started)
    return min(times)


def _has_openvino() -> bool:
    return importlib.util.find_spec("openvino") is not None


def _most_accurate(folder: Path, manifest: Manifest | TensorManifest) -> tuple[str, list[Path]]:
    """Name and graphs of a precision, those with fewer outputs first."""
    if isinstance(manifest, TensorManifest):
        exact = min(manifest.precisions, key=lambda form: form.max_difference)
        return exact.name, [folder / exact.file]
    best = max(manifest.precisions, key=lambda form: form.top1_agreement)
    return best.name, [folder / best.predict_file, folder / best.file]
