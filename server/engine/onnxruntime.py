"""ONNX Runtime, on CUDA when there is a GPU and on the CPU otherwise.

Both outputs live in one graph, and ONNX Runtime executes every node of a graph, also for outputs that nobody asked for
(`RunOptions.only_execute_path_to_fetches` is honoured by its training builds only). A plain prediction therefore asks for
zero targets: the backward pass then runs on tensors without elements, which costs its nodes' dispatch and no arithmetic.

Threads do not spin between runs: a spinning pool would take the cores from decoding and from the event loop.
"""

from pathlib import Path

import onnxruntime as ort

from server.config import Device
from server.engine.base import Batch, Outputs


class OnnxRuntimeEngine:
    """An ONNX Runtime session for one model file."""

    name = "onnxruntime"

    def __init__(self, model: Path, precision: str, device: Device, threads: int, max_batch: int) -> None:
        """Compiles `model`; `threads` is for the operators of one run.

        Raises RuntimeError when `device` is cuda and no GPU can be used.
        """
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        self._session = ort.InferenceSession(model, options, providers=_providers(device))
        self.precision = precision
        self.device = "cuda" if "CUDAExecutionProvider" in self._session.get_providers() else "cpu"
        if device is Device.CUDA and self.device != "cuda":
            raise RuntimeError("device cuda was asked for, but ONNX Runtime cannot use a GPU here; see its log above")
        # CUDA plans kernels and memory anew for each new shape; the CPU takes every size equally well.
        self.buckets = _powers_of_two(max_batch) if self.device == "cuda" else ()

    def run(self, batch: Batch) -> Outputs:
        """Computes probabilities and, for each target, a heatmap."""
        feeds = {"pixels": batch.pixels, "targets": batch.targets}
        return Outputs(*self._session.run(["probabilities", "heatmaps"], feeds))


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
