"""ONNX Runtime, on CUDA when there is a GPU and on the CPU otherwise.

Both outputs live in one graph. ONNX Runtime executes every node of a graph by default, also for outputs that nobody asked
for; `only_execute_path_to_fetches` makes a plain prediction cost what it costs in a graph without explanations.

Threads do not spin between runs: a spinning pool would take the cores from decoding and from the event loop.
"""

from pathlib import Path

import numpy as np
import onnxruntime as ort

from server.config import Device
from server.engine.base import Batch, Outputs

_NO_TARGETS = np.zeros((1, 1), np.int64)  # the graph declares the input, though nothing on the executed path reads it


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
        self._run_options = ort.RunOptions()
        self._run_options.only_execute_path_to_fetches = True
        self.precision = precision
        self.device = "cuda" if "CUDAExecutionProvider" in self._session.get_providers() else "cpu"
        if device is Device.CUDA and self.device != "cuda":
            raise RuntimeError("device cuda was asked for, but ONNX Runtime cannot use a GPU here; see its log above")
        # CUDA plans kernels and memory anew for each new shape; the CPU takes every size equally well.
        self.buckets = _powers_of_two(max_batch) if self.device == "cuda" else ()

    def run(self, batch: Batch) -> Outputs:
        """Computes probabilities, and heatmaps when the batch has targets."""
        explain = batch.targets is not None
        names = ["probabilities", "heatmaps"] if explain else ["probabilities"]
        feeds = {"pixels": batch.pixels, "targets": batch.targets if explain else _NO_TARGETS}
        answers = self._session.run(names, feeds, self._run_options)
        return Outputs(answers[0], answers[1] if explain else None)


def _providers(device: Device) -> list[str]:
    if device is Device.CPU or "CUDAExecutionProvider" not in ort.get_available_providers():
        return ["CPUExecutionProvider"]
    ort.preload_dlls()  # finds the CUDA libraries that came as wheels
    return ["CUDAExecutionProvider", "CPUExecutionProvider"]


def _powers_of_two(most: int) -> tuple[int, ...]:
    sizes = [1]
    while sizes[-1] < most:
        sizes.append(min(2 * sizes[-1], most))
    return tuple(sizes)
