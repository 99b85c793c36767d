"""Bare sessions: images a second by batch size, for each precision of a bundle.

Three ways for each size: pixels and answers in host memory, as the server runs it; both on the device, which leaves the copies out; and
with the heatmap of the top class.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from bench import local_engine
from bench.tables import Results
from bundle import golden, manifest
from bundle.manifest import Precision
from server.config import Device, available_cores
from server.engine import onnxruntime

_WARM_UPS = 3  # CUDA plans a new shape at its first run
_ROUNDS = 5


@dataclass(frozen=True)
class Rates:
    """Images a second at one batch size."""

    batch: int
    host: float
    device: float
    explained: float


def forms(bundle: Path, device: Device) -> list[Precision]:
    """What ONNX Runtime runs well of the bundle on `device`: full precision, and on a GPU half."""
    wanted = ("fp32", "fp16") if device is Device.CUDA else ("fp32",)
    found = manifest.read_classifier(bundle).precisions
    return [form for form in found if form.name in wanted and form.engine in ("any", "onnxruntime")]


def measure(bundle: Path, form: Precision, device: Device, batches: Sequence[int], seconds: float) -> list[Rates]:
    """Rates of one precision; about `seconds` for each of them. Raises RuntimeError when the device is not there."""
    pixels = golden.read(bundle, manifest.read_classifier(bundle)).pixels
    plain, explaining = (_session(bundle / file, device) for file in (form.predict_file, form.file))
    return [_rates(plain, explaining, local_engine.resized(pixels, batch), device, seconds) for batch in batches]


def _session(model: Path, device: Device) -> ort.InferenceSession:
    compiled = onnxruntime.session(model, device, available_cores())
    if device is Device.CUDA and "CUDAExecutionProvider" not in compiled.get_providers():
        raise RuntimeError("ONNX Runtime cannot use a GPU here; see its log above")
    return compiled


def _rates(
    plain: ort.InferenceSession,
    explaining: ort.InferenceSession,
    pixels: NDArray[np.uint8],
    device: Device,
    seconds: float,
) -> Rates:
    given = local_engine.feeds(pixels)
    names = {value.name for value in explaining.get_inputs()}
    feeds = {name: array for name, array in given.items() if name in names}
    calls = (
        lambda: plain.run([*local_engine.PREDICT], {"pixels": pixels}),
        _bound(plain, pixels, device),
        lambda: explaining.run([*local_engine.EXPLAIN], feeds),
    )
    for call in calls:
        for _ in range(_WARM_UPS):
            call()
    took = np.median([[_mean(call, seconds / _ROUNDS) for call in calls] for _ in range(_ROUNDS)], axis=0)
    return Rates(len(pixels), *(len(pixels) / took))


def _bound(session: ort.InferenceSession, pixels: NDArray[np.uint8], device: Device) -> Callable[[], object]:
    """A run whose input lies on the device already and whose output stays there."""
    binding = session.io_binding()
    binding.bind_ortvalue_input("pixels", ort.OrtValue.ortvalue_from_numpy(pixels, device.value, 0))
    binding.bind_output("probabilities", device.value)

    def run() -> None:
        session.run_with_iobinding(binding)
        binding.synchronize_outputs()

    return run


def _mean(call: Callable[[], object], seconds: float) -> float:
    """Seconds of one call."""
    calls, started = 0, time.perf_counter()
    while calls == 0 or time.perf_counter() - started < seconds:
        call()
        calls += 1
    return (time.perf_counter() - started) / calls


def results(name: str, precision: str, rates: Sequence[Rates], note: str) -> Results:
    """The table of one precision."""
    columns = (
        "batch",
        "images/s",
        "ms a batch",
        "images/s, data on the device",
        "images/s, explained",
        "explained, times",
    )
    rows = [
        (
            str(each.batch),
            f"{each.host:,.0f}",
            f"{1e3 * each.batch / each.host:.2f}",
            f"{each.device:,.0f}",
            f"{each.explained:,.0f}",
            f"{each.explained / each.host:.2f}",
        )
        for each in rates
    ]
    return Results(f"{name} {precision}: one session in process", columns, rows, (note,))
