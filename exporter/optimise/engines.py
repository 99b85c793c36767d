"""Compiles a form of the model with the settings that the server has for it (server.engine), to measure what will be served.

That the two say the same twice has its reason: exporter and server meet in files. All cores that this process may use compute one
batch, and threads do not spin between runs.
"""

import importlib.util
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

Array = NDArray[np.generic]
EngineName = Literal["onnxruntime", "openvino"]

WITHOUT_OPENVINO = "OpenVINO is not installed"


class Graph(Protocol):
    """One compiled graph; an onnxruntime.InferenceSession is one."""

    def run(self, wanted: Sequence[str], feeds: Mapping[str, Array]) -> list[NDArray[np.float32]]:
        """The outputs `wanted`, f32 [N, ...], given an array [N, ...] for each input."""


@dataclass(frozen=True)
class Compiled:
    """A form of the model on an engine."""

    engine: EngineName
    predict: Graph  # pixels -> probabilities
    explain: Graph  # pixels, targets[, methods] -> probabilities, heatmaps


def installed() -> list[EngineName]:
    """The engines of this environment, ONNX Runtime first."""
    return ["onnxruntime", "openvino"] if importlib.util.find_spec("openvino") else ["onnxruntime"]


def has_bfloat16() -> bool:
    """Whether this processor computes with bfloat16. Needs OpenVINO."""
    import openvino as ov

    return "BF16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def compiled(engine: EngineName, predict: Path, explain: Path, bfloat16: bool) -> Compiled:
    """The form in the files `predict` and `explain`; `bfloat16` is for OpenVINO. Raises what the library raises."""
    if engine == "onnxruntime":
        return Compiled(engine, _session(predict), _session(explain))
    return Compiled(engine, _OpenVino(predict, bfloat16), _OpenVino(explain, bfloat16))


def _session(path: Path) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = cores()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


class _OpenVino:
    """A graph compiled by OpenVINO."""

    def __init__(self, path: Path, bfloat16: bool) -> None:
        import openvino as ov

        options = {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": cores(),
            "INFERENCE_PRECISION_HINT": "bf16" if bfloat16 else "f32",
        }
        self._request = ov.Core().compile_model(path, "CPU", options).create_infer_request()

    def run(self, wanted: Sequence[str], feeds: Mapping[str, Array]) -> list[NDArray[np.float32]]:
        """The outputs `wanted`, copied out of the request."""
        given = {name: np.ascontiguousarray(array) for name, array in feeds.items()}
        answers = self._request.infer(given, share_inputs=True)
        return [answers[name] for name in wanted]
