"""The precisions that can be made of a bundle, and what each of them is made of.

fp32   the graph as the export wrote it
bf16   the same files: OpenVINO rounds to bfloat16 on processors that compute with it
fp16   a graph of its own, for GPUs; a CPU can only imitate it, which shows its answers and not its speed
int8   a graph of its own, for any CPU
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from bundle.manifest import ONNX_MODEL, PREDICT_MODEL, Precision, PrecisionName
from exporter import graphs
from exporter.errors import ExportError
from exporter.optimise import engines, half, int8
from exporter.optimise.engines import EngineName

EXACT: PrecisionName = "fp32"
OTHERS: tuple[PrecisionName, ...] = ("int8", "bf16", "fp16")


@dataclass(frozen=True)
class Form:
    """An executable form in a bundle's folder."""

    precision: PrecisionName
    engines: tuple[EngineName, ...]  # that may run it
    file: str
    predict_file: str

    @property
    def timed(self) -> bool:
        """Whether its speed on a CPU means anything."""
        return self.precision != "fp16"


class LeftOutError(Exception):
    """A form cannot be made or measured here; the message says why."""


def exact(manifest_form: Precision) -> Form:
    """The form that all others are measured by."""
    return Form(EXACT, ("onnxruntime", "openvino"), manifest_form.file, manifest_form.predict_file)


def make(precision: PrecisionName, folder: Path, reference: Form, pixels: NDArray[np.uint8]) -> Form:
    """Makes a form of the bundle in `folder` from its fp32 files; `pixels` [S, H, W, C] calibrate it.

    Raises LeftOutError when it has no meaning on this machine, and ExportError when the network cannot be had in it.
    """
    if precision == "bf16":
        return _bfloat16(reference)
    explained = onnx.load(folder / reference.file)
    smaller = int8.quantised(explained, pixels) if precision == "int8" else half.halved(explained)
    (folder / precision).mkdir()
    graphs.write(smaller, folder / precision)
    may_run: tuple[EngineName, ...] = ("onnxruntime", "openvino") if precision == "int8" else ("onnxruntime",)
    return Form(precision, may_run, f"{precision}/{ONNX_MODEL}", f"{precision}/{PREDICT_MODEL}")


def checked(name: str) -> PrecisionName:
    """The precision of this name; raises ExportError naming those that there are."""
    for known in OTHERS:
        if known == name:
            return known
    raise ExportError(f"no precision {name!r}; choose from {', '.join(OTHERS)} ({EXACT} is always there)")


def _bfloat16(reference: Form) -> Form:
    if "openvino" not in engines.installed():
        raise LeftOutError(f"bf16: {engines.WITHOUT_OPENVINO}, which alone runs it")
    if not engines.has_bfloat16():
        raise LeftOutError(
            "bf16: this processor does not compute with bfloat16, so that neither answers nor speed can be told"
        )
    return Form("bf16", ("openvino",), reference.file, reference.predict_file)
