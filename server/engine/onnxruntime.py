"""ONNX Runtime, on CUDA when there is a GPU and on the CPU otherwise.

An image classifier has two graphs with the same weights, and each gets a session: one without the backward pass for the batches
in which nobody asked for an explanation, and one that explains (exporter.graphs says why and has the figures).

Threads do not spin between runs: a spinning pool would take the cores from decoding and from the event loop.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnxruntime as ort

from server.config import Device
from server.engine.base import Array


class OnnxRuntimeEngine:
    """A model on ONNX Runtime."""

    name = "onnxruntime"

    def __init__(self, graphs: Sequence[Path], precision: str, device: Device, threads: int, max_batch: int) -> None:
        """Compiles the graphs, the cheapest first: a run takes the first that has all outputs that are wanted.

        `threads` is for the operators of one run. Raises RuntimeError when `device` is cuda and no GPU can be used.
        """
        sessions = [session(path, device, threads) for path in graphs]
        self._graphs = [_Graph(each, _names(each.get_inputs()), set(_names(each.get_outputs()))) for each in sessions]
        self.precision = precision
        self.device = "cuda" if "CUDAExecutionProvider" in sessions[0].get_providers() else "cpu"
        if device is Device.CUDA and self.device != "cuda":
            raise RuntimeError("device cuda was asked for, but ONNX Runtime cannot use a GPU here; see its log above")
        # CUDA plans kernels and memory anew for each new shape; the CPU takes every size equally well.
        self.buckets = _powers_of_two(max_batch) if self.device == "cuda" else ()

    def run(self, feeds: Mapping[str, Array], wanted: Sequence[str]) -> list[Array]:
        """Computes the outputs `wanted`, in their order."""
        graph = next(graph for graph in self._graphs if graph.outputs.issuperset(wanted))
        answers: list[Array] = graph.session.run(list(wanted), {name: feeds[name] for name in graph.inputs})
        return answers


@dataclass(frozen=True)
class _Graph:
    session: ort.InferenceSession
    inputs: list[str]
    outputs: set[str]


def _names(values: Sequence[Any]) -> list[str]:
    return [value.name for value in values]


def session(model: Path, device: Device, threads: int) -> ort.InferenceSession:
    """Compiles one graph as the server does."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return ort.InferenceSession(model, options, providers=_providers(device))


def _providers(device: Device) -> list[str | tuple[str, dict[str, str]]]:
    if device is Device.CPU or "CUDAExecutionProvider" not in ort.get_available_providers():
        return ["CPUExecutionProvider"]
    ort.preload_dlls()  # finds the CUDA libraries that came as wheels
    # TF32 would round the inputs of convolutions to 10 bits: other answers than the trained model's.
    return [("CUDAExecutionProvider", {"use_tf32": "0"}), "CPUExecutionProvider"]


def _powers_of_two(most: int) -> tuple[int, ...]:
    sizes = [1]
    while sizes[-1] < most:
        sizes.append(min(2 * sizes[-1], most))
    return tuple(sizes)
