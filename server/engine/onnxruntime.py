"""ONNX Runtime, on CUDA when there is a GPU and on the CPU otherwise.

Threads do not spin between runs: a spinning pool would take the cores from decoding and from the event loop.

The weights are read, not mapped as ONNX Runtime would by itself: somebody who writes into a bundle in service would otherwise change
its answers, and who cuts the file short would end the process with SIGBUS.
"""

from collections.abc import Sequence
from pathlib import Path

import onnxruntime as ort

from bundle.manifest import WEIGHTS
from server.config import Device
from server.engine.base import Array, as_memory_error
from server.engine.compiled import CompiledEngine, Graph


def build(graphs: Sequence[Path], precision: str, device: Device, threads: int, max_batch: int) -> CompiledEngine:
    """Compiles the graphs; `threads` is for the operators of one run on the CPU.

    Raises RuntimeError when `device` is cuda and no GPU can be used.
    """
    weights = {beside: _weights(beside) for beside in {path.parent for path in graphs}}
    sessions = [session(path, device, threads, weights[path.parent]) for path in graphs]
    found = "cuda" if "CUDAExecutionProvider" in sessions[0].get_providers() else "cpu"
    if device is Device.CUDA and found != "cuda":
        raise RuntimeError("device cuda was asked for, but ONNX Runtime cannot use a GPU here; see its log above")
    # CUDA plans kernels and memory anew for each new shape; the CPU takes every size equally well.
    buckets = _powers_of_two(max_batch) if found == "cuda" else ()
    return CompiledEngine("onnxruntime", precision, found, buckets, [_graph(each) for each in sessions])


def has_gpu() -> bool:
    """Whether this build of ONNX Runtime can use CUDA; whether there is a GPU shows when a graph is compiled."""
    return "CUDAExecutionProvider" in ort.get_available_providers()


def _graph(compiled: ort.InferenceSession) -> Graph:
    inputs = tuple(value.name for value in compiled.get_inputs())
    outputs = frozenset(value.name for value in compiled.get_outputs())

    def run(feeds: dict[str, Array], wanted: Sequence[str]) -> list[Array]:
        try:
            answers: list[Array] = compiled.run(list(wanted), feeds)
        except Exception as error:
            raise as_memory_error(error) from error
        return answers

    return Graph(inputs, outputs, run)


def _weights(folder: Path) -> bytes:
    """What graphs in the folder keep outside of themselves; empty when they have all inside."""
    path = folder / WEIGHTS
    return path.read_bytes() if path.exists() else b""


def session(model: Path, device: Device, threads: int, weights: bytes = b"") -> ort.InferenceSession:
    """Compiles one graph as the server does, with the `weights` of the file beside it."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    if weights:
        options.add_external_initializers_from_files_in_memory([WEIGHTS], [weights], [len(weights)])
    return ort.InferenceSession(model, options, providers=_providers(device))


def _providers(device: Device) -> list[str | tuple[str, dict[str, str]]]:
    if device is Device.CPU or not has_gpu():
        return ["CPUExecutionProvider"]
    ort.preload_dlls()  # finds the CUDA libraries that came as wheels
    # TF32 would round the inputs of convolutions to 10 bits: other answers than the trained model's.
    return [("CUDAExecutionProvider", {"use_tf32": "0"}), "CPUExecutionProvider"]


def _powers_of_two(most: int) -> tuple[int, ...]:
    sizes = [1]
    while sizes[-1] < most:
        sizes.append(min(2 * sizes[-1], most))
    return tuple(sizes)
