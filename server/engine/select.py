"""Which engine runs a bundle, in which precision, on how many threads.

On CPUs that is measured, on the machine that is to serve, with one of the bundle's golden samples: OpenVINO takes a half or a sixth of
ONNX Runtime's time where the processor has AMX, and up to twice as much where it has not even AVX-512, so that it is not tried there: importing
and compiling would take longer than all the rest of the start. A network of 0.2 ms is no faster on two threads than on one, and
takes 60 to 90 % more CPU time. Only precisions that have proved accurate enough take part.
"""

import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bundle.manifest import Manifest, Precision, TensorPrecision
from server.config import LARGEST_BATCH, Device, EngineName, PrecisionName, Settings
from server.engine import onnxruntime
from server.engine.base import Array, Engine
from server.engine.compiled import CompiledEngine

# Another choice must be this much faster than the best before it to be taken.
_WORTH = 0.9
# A network that takes less on all threads may do as well on one.
_SMALL_SECONDS = 0.002
# Nothing else is tried for a network that takes less: there is nothing to be gained.
_TINY_SECONDS = 0.001
# Runs that are measured, and how long they may take together: one is always measured.
_ROUNDS = 3
_ENOUGH_SECONDS = 0.05

# How long a run may take on a CPU when the size of batches is ours to choose.
_RUN_SECONDS = 0.1

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


@dataclass(frozen=True)
class Trial:
    """A choice, compiled for plain predictions, and what one of them takes."""

    choice: Choice
    engine: CompiledEngine
    seconds: float


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
        Choice(engine, form.name, settings.threads or settings.cores)
        for form in found
        for engine in _engines(settings)
        if form.engine in ("any", engine) and _runs_here(engine, form.name)
    ]
    if not made:
        raise RuntimeError(f"{', '.join(form.name for form in found)}: nothing installed on this machine runs it well")
    return made


def by_speed(found: Sequence[Choice], trial: Callable[[Choice], Trial], *, any_threads: bool) -> list[Trial]:
    """Trials of the choices, the one to take first.

    That is the fastest, where a later choice must be faster by a tenth. With `any_threads` small networks are also tried on one thread,
    and stay there unless they are slower by a tenth. What comes after a tiny network is not tried.
    """
    first, *others = found
    best, rest = _on_fewest_threads(first, trial, any_threads), list[Trial]()
    for choice in others:
        if best.seconds < _TINY_SECONDS:
            break
        other = _on_fewest_threads(choice, trial, any_threads)
        if other.seconds < _WORTH * best.seconds:
            best, other = other, best
        rest.append(other)
    return [best, *rest]


def _on_fewest_threads(choice: Choice, trial: Callable[[Choice], Trial], any_threads: bool) -> Trial:
    found = trial(choice)
    if any_threads and choice.threads > 1 and found.seconds < _SMALL_SECONDS:
        alone = trial(replace(choice, threads=1))
        return alone if _WORTH * alone.seconds < found.seconds else found
    return found


def build(graphs: Sequence[Path], choice: Choice, settings: Settings) -> CompiledEngine:
    """Compiles graphs, those with fewer outputs first. Raises RuntimeError when the device that is asked for is not there."""
    if choice.engine is EngineName.OPENVINO:
        from server.engine import openvino

        return openvino.build(graphs, choice.precision, choice.threads)
    return onnxruntime.build(
        graphs, choice.precision, settings.device, choice.threads, settings.max_batch or LARGEST_BATCH
    )


def shortest(engine: Engine, probe: Probe, clock: Callable[[], float]) -> float:
    """The shortest of a few runs of `probe`, in seconds."""
    engine.run(probe.feeds, probe.wanted)  # the first one also allocates
    times: list[float] = []
    while len(times) < _ROUNDS and sum(times) < _ENOUGH_SECONDS:
        started = clock()
        engine.run(probe.feeds, probe.wanted)
        times.append(clock() - started)
    return min(times)


def largest_batch(trial: Trial, settings: Settings) -> int:
    """The most rows that a run is to have: those asked for, or as many as pay.

    Measured on two cores, ONNX Runtime: MobileNetV2 344 images/s in batches of 8 and 262 in batches of 32; ResNet50 40 and 35.
    """
    if settings.max_batch or trial.engine.device != "cpu":
        return settings.max_batch or LARGEST_BATCH
    fitting = _RUN_SECONDS / max(trial.seconds, 1e-9)
    return next((size for size in (LARGEST_BATCH, 16) if size <= fitting), 8)


def _engines(settings: Settings) -> Iterator[EngineName]:
    wanted, installed = settings.engine, importlib.util.find_spec("openvino") is not None
    on_gpu = settings.device is Device.CUDA or (settings.device is Device.AUTO and onnxruntime.has_gpu())
    if wanted is EngineName.OPENVINO and (settings.device is Device.CUDA or not installed):
        raise RuntimeError(
            "engine openvino was asked for: it runs on CPUs only, and must be installed: pip install openvino"
        )
    if wanted is not EngineName.OPENVINO:
        yield EngineName.ONNXRUNTIME
    if wanted is EngineName.OPENVINO or (
        wanted is EngineName.AUTO and installed and not on_gpu and "avx512f" in processor_flags()
    ):
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


def processor_flags() -> frozenset[str]:
    """What this processor can do, in Linux' words; empty where that is not told."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return frozenset()
    return frozenset(next((line for line in lines if line.startswith("flags")), "").split())
