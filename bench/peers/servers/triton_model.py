"""The model as Triton's Python back end wants it: a module that it loads in a process of its own, one for each instance."""

import os
import sys
from typing import Any

# Triton gives this process a PYTHONPATH of its own.
sys.path[:0] = os.environ["PEER_PATHS"].split(":")

import numpy as np  # noqa: E402
import triton_python_backend_utils as triton  # noqa: E402

from bench.peers.servers.graph import Graph, Options  # noqa: E402


class TritonPythonModel:
    """Named so by the back end, which gives `execute` the requests of one batch."""

    def initialize(self, args: dict[str, str]) -> None:  # noqa: ARG002
        """Called once."""
        self._graph = Graph(Options.from_environment())

    def execute(self, requests: list[Any]) -> list[Any]:
        """One response for each request."""
        pixels = [triton.get_input_tensor_by_name(each, "pixels").as_numpy() for each in requests]
        probabilities = self._graph.run(pixels[0] if len(pixels) == 1 else np.concatenate(pixels))
        ends = np.cumsum([len(each) for each in pixels])[:-1]
        return [
            triton.InferenceResponse([triton.Tensor("probabilities", part)]) for part in np.split(probabilities, ends)
        ]
