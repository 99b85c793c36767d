"""Which engine runs a bundle, in which precision, on how many threads.

On CPUs that is measured, on the machine that is to serve, with one of the bundle's golden samples: OpenVINO takes a half or a sixth of
ONNX Runtime's time where the processor has AMX, and up to twice as much where it does not; a network of 0.2 ms is no faster on two
threads than on one, and takes 60 to 90 % more CPU time. Only precisions that have proved accurate enough take part.
"""

import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bundle.manifest import Manifest, Precision, TensorPrecision
from server.config import Device, EngineName, PrecisionName, Settings
from server.engine import onnxruntime
from server.engine.base import Array, Engine

# Another choice must be this much faster than the best before it to be taken.
_WORTH = 0.9
# A network that takes less on one thread gains nothing from others.
_TINY_SECONDS = 0.001
_ROUNDS = 3

EXACT = "fp32"


@dataclass(frozen=True)
class Probe:
    """What is run to measure an engine: a sample, and the outputs of a plain prediction."""

    feeds: Mapping[str, Array]  # [1, ...] each
    wanted: Sequence[str]


@dataclass(frozen=True)
class Choice:
    """An engine, what it runs, and the threads that it may use for one run."""

    engine: EngineName
    precision: str
    threads: int


def forms(manifest: Manifest, wanted: PrecisionName) -> list[Precision]:
    """The forms of a classifier that may be served: of the precision that is wanted, or all that agree often enough.

    Raises RuntimeError when the bundle has none of that precision.
    """
    if wanted is PrecisionName.AUTO:
        exact_first = sorted(manifest.precisions, key=lambda form: form.name != EXACT)
        return [form for form in exact_first if form.top1_agreement >= manifest.minimum_top1_agreement]
    found = [form for form in manifest.precisions if form.name == wanted.value]
    if not found:
        known = ", ".join(sorted({form.name for form in manifest.precisions}))
        raise RuntimeError(f"the bundle has no {wanted}, it has: {known}; `python -m exporter optimise` makes others")
    return found


def choices(found: Sequence[Precision | TensorPrecision], settings: Settings) -> list[Choice]:
    """What could run a model here, the most exact and plainest first.

    Raises RuntimeError when an engine is asked for that is not there, or that has none of the forms.
    """
    made = [
        Choice(engine, form.name, threads)
        for form in found
        for engine in _engines(settings)
        if form.engine in ("any", engine) and _runs_here(engine, form.name)
        for threads in _threads(engine, settings)
    ]
    if not made:
        raise RuntimeError(f"{', '.join(form.name for form in found)}: nothing installed on this machine runs it well")
    return made


def fastest(found: Sequence[Choice], seconds: Callable[[Choice], float]) -> Choice:
    """The choice that takes the fewest `seconds`; a later one only when it is faster by a tenth."""
    best, least = found[0], float("inf")
    for choice in found if len(found) > 1 else ():
        if (took := seconds(choice)) < _WORTH * least:
            best, least = choice, took
        if least < _TINY_SECONDS:
            break
    return best


def build(graphs: Sequence[Path], choice: Choice, settings: Settings) -> Engine:
    """Compiles graphs, those with fewer outputs first. Raises RuntimeError when the device that is asked for is not there."""
    if choice.engine is EngineName.OPENVINO:
        from server.engine import openvino

        return openvino.build(graphs, choice.precision, choice.threads)
    return onnxruntime.build(graphs, choice.precision, settings.device, choice.threads, settings.max_batch)


def shortest(engine: Engine, probe: Probe, clock: Callable[[], float]) -> float:
    """The shortest of a few runs of `probe`, in seconds."""
    engine.run(probe.feeds, probe.wanted)  # the first one also allocates
    times = []
    for _ in range(_ROUNDS):
        started = clock()
        engine.run(probe.feeds, probe.wanted)
        times.append(clock() - started)
    return min(times)


def _engines(settings: Settings) -> Iterator[EngineName]:
    wanted, installed = settings.engine, importlib.util.find_spec("openvino") is not None
    on_gpu = settings.device is Device.CUDA or (settings.device is Device.AUTO and onnxruntime.has_gpu())
    if wanted is EngineName.OPENVINO and (settings.device is Device.CUDA or not installed):
        raise RuntimeError(
            "engine openvino was asked for: it runs on CPUs only, and must be installed: pip install openvino"
        )
    if wanted is not EngineName.OPENVINO:
        yield EngineName.ONNXRUNTIME
    if wanted is EngineName.OPENVINO or (wanted is EngineName.AUTO and installed and not on_gpu):
        yield EngineName.OPENVINO


def _runs_here(engine: EngineName, precision: str) -> bool:
    """Half precision only where the hardware has it: elsewhere it is emulated, many times slower."""
    match precision:
        case "fp16":
            return engine is EngineName.ONNXRUNTIME and onnxruntime.has_gpu()
        case "bf16":
            from server.engine import openvino

            return engine is EngineName.OPENVINO and openvino.has_bfloat16()
    return True


def _threads(engine: EngineName, settings: Settings) -> list[int]:
    cores = settings.threads or settings.cores
    one_first = engine is EngineName.ONNXRUNTIME and not settings.threads and cores > 1
    return [1, cores] if one_first else [cores]
