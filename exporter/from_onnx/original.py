"""The model as it was given, with what comes before and after it in NumPy.

It shares nothing with the graph that goes into the bundle: neither the operators of the preamble and of the activation, nor the
conversions on the way. Its probabilities are the measure.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from exporter.from_onnx.activation import After, finished
from exporter.from_onnx.presets import Arithmetic
from exporter.from_onnx.running import Network


@dataclass(frozen=True)
class Original:
    """A classifier of pixels."""

    network: Network
    arithmetic: Arithmetic
    after: After

    def scores(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Pixels u8 [N, H, W, C] -> what the file itself answers, f32 [N, K]."""
        return self.network(self.network.image.arranged(self.arithmetic(pixels)))

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Pixels u8 [N, H, W, C] -> probabilities f32 [N, K]; one sigmoid p is both [1 - p, p]."""
        found = finished(self.scores(pixels), self.after)
        return np.concatenate([1 - found, found], axis=1) if found.shape[1] == 1 else found
