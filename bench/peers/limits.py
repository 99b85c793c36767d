"""What the engines do by themselves: nothing between them and this process but a function call."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench import local_engine
from bench.local_engine import PREDICT, Setting
from bundle.manifest import Manifest
from server.config import Device, EngineName, PrecisionName, available_cores
from server.engine.base import Engine

BATCHES = (1, 8, 32)


@dataclass(frozen=True)
class Form:
    """An engine and a precision, of one bundle."""

    bundle: Path
    engine: EngineName
    precision: PrecisionName

    @property
    def label(self) -> str:
        """For example "onnxruntime fp32"."""
        return f"{self.engine} {self.precision}"


@dataclass(frozen=True)
class Limit:
    """One form at one batch size on so many threads."""

    form: Form
    threads: int
    batch: int
    rate: float  # images a second
    cpu_seconds: float  # an image


def forms(bundle: Path, described: Manifest) -> Iterator[Form]:
    """Everything of a bundle that can run on this machine's processor, ONNX Runtime in fp32 first."""
    for each in sorted(described.precisions, key=lambda each: each.name != "fp32"):
        for engine in (EngineName.ONNXRUNTIME, EngineName.OPENVINO):
            if each.engine in ("any", engine) and _runs_here(engine, each.name):
                yield Form(bundle, engine, PrecisionName(each.name))


@cache
def compiled(form: Form, threads: int) -> Engine:
    """The engine as our server sets it up, kept for the next time. Raises BundleError when it cannot be."""
    asked = Setting(form.engine, form.precision, threads, Device.CPU, max(BATCHES))
    return local_engine.load(form.bundle, asked)[0]


def measure(form: Form, pixels: NDArray[np.uint8], seconds: float) -> Iterator[Limit]:
    """Each batch size on one thread and on all cores, for `seconds` each, on the pictures `pixels` [n, H, W, C] over and over."""
    for threads in sorted({1, available_cores()}):
        for batch in BATCHES:
            given = local_engine.feeds(local_engine.resized(pixels, batch))
            cost = local_engine.cost(compiled(form, threads), given, PREDICT, seconds)
            yield Limit(form, threads, batch, batch / cost.seconds, cost.cpu_seconds / batch)


def _runs_here(engine: EngineName, precision: str) -> bool:
    """fp16 is for GPUs; bf16 for processors that compute with it, and only OpenVINO asks them."""
    if precision == PrecisionName.BF16:
        from server.engine import openvino

        return engine is EngineName.OPENVINO and openvino.has_bfloat16()
    return precision != PrecisionName.FP16
