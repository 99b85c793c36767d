"""OpenVINO on the CPU: on processors with AMX several times as fast as ONNX Runtime, on others often slower."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from server.engine.base import Array, as_memory_error
from server.engine.compiled import CompiledEngine, Graph

# OpenVINO tolerates that its converter of models cannot be found, and imports it otherwise: that takes as long as all the rest, and starts
# a process that reports the import to Google Analytics.
sys.modules.setdefault("openvino.tools.ovc", None)  # type: ignore[arg-type]  # what Python's import takes as "not there"
import openvino as ov  # noqa: E402


def build(graphs: Sequence[Path], precision: str, threads: int) -> CompiledEngine:
    """Compiles the graphs for the CPU; `threads` is for the operators of one run."""
    core = ov.Core()
    core.set_property({"ENABLE_MMAP": False})  # as for ONNX Runtime: a file that is cut short must not end the process
    # One request at a time with all threads: batches are made before they come here. Without the last hint OpenVINO would take
    # bfloat16 by itself where the processor has it.
    options = {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
    }
    compiled = [_graph(core.compile_model(path, "CPU", options)) for path in graphs]
    return CompiledEngine("openvino", precision, "cpu", (), compiled)


def has_bfloat16() -> bool:
    """Whether this processor computes with bfloat16."""
    return "BF16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def _graph(model: ov.CompiledModel) -> Graph:
    request = model.create_infer_request()
    ports = {port.get_any_name(): port for port in model.outputs}

    def run(feeds: Mapping[str, Array], wanted: Sequence[str]) -> list[Array]:
        given = {name: np.ascontiguousarray(array) for name, array in feeds.items()}
        try:
            answers = request.infer(given, share_inputs=True, share_outputs=True)
        except Exception as error:
            raise as_memory_error(error) from error
        return [answers[ports[name]] for name in wanted]

    return Graph(tuple(port.get_any_name() for port in model.inputs), frozenset(ports), run)
