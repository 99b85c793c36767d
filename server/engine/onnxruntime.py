"""ONNX Runtime, on CUDA when there is a GPU and on the CPU otherwise.

A bundle has two graphs with the same weights, and each gets a session: one that explains, and one without the backward
pass for the batches in which nobody asked for an explanation (exporter.graphs says why and has the figures).

Threads do not spin between runs: a spinning pool would take the cores from decoding and from the event loop.
"""

from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from server.config import Device
from server.engine.base import Batch, Outputs


class OnnxRuntimeEngine:
    """A model on ONNX Runtime."""

    name = "onnxruntime"

    def __init__(
        self, explaining: Path, predicting: Path, precision: str, device: Device, threads: int, max_batch: int
    ) -> None:
        """Compiles both graphs; `threads` is for the operators of one run.

        Raises RuntimeError when `device` is cuda and no GPU can be used.
        """
        self._explaining, self._predicting = (session(path, device, threads) for path in (explaining, predicting))
        self._asks_for_methods = any(value.name == "methods" for value in self._explaining.get_inputs())
        self._without = (0, *self._explaining.get_outputs()[1].shape[2:])
        self.precision = precision
        self.device = "cuda" if "CUDAExecutionProvider" in self._explaining.get_providers() else "cpu"
        if device is Device.CUDA and self.device != "cuda":
            raise RuntimeError("device cuda was asked for, but ONNX Runtime cannot use a GPU here; see its log above")
        # CUDA plans kernels and memory anew for each new shape; the CPU takes every size equally well.
        self.buckets = _powers_of_two(max_batch) if self.device == "cuda" else ()

    def run(self, batch: Batch) -> Outputs:
        """Computes probabilities and, for each target, a heatmap."""
        feeds: dict[str, NDArray[np.generic]] = {"pixels": batch.pixels}
        if not batch.targets.size:
            (probabilities,) = self._predicting.run(["probabilities"], feeds)
            return Outputs(probabilities, np.empty((len(batch.pixels), *self._without), np.float32))
        feeds["targets"] = batch.targets
        if self._asks_for_methods:
            feeds["methods"] = batch.methods
        return Outputs(*self._explaining.run(["probabilities", "heatmaps"], feeds))


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
