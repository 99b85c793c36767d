"""What a trained model says of a split, beside the truth: the source of all figures and pictures of a run."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bundle.run import Metrics


@dataclass(frozen=True)
class Answers:
    """The model's probabilities for N pictures and K classes."""

    pixels: NDArray[np.uint8]  # [N, H, W, C]
    labels: NDArray[np.int64]  # [N]
    probabilities: NDArray[np.float32]  # [N, K]

    @property
    def predicted(self) -> NDArray[np.int64]:
        """The most probable class of each picture: int64 [N]."""
        winners: NDArray[np.int64] = np.argmax(self.probabilities, axis=1)
        return winners

    @property
    def metrics(self) -> Metrics:
        """Cross-entropy (probabilities clipped at 1e-7, as Keras does) and accuracy."""
        of_truth = self.probabilities[np.arange(len(self.labels)), self.labels].astype(np.float64)
        return Metrics(
            loss=float(-np.log(np.clip(of_truth, 1e-7, 1)).mean()),
            accuracy=float((self.predicted == self.labels).mean()),
        )
