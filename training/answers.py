"""What a trained model says of a split, beside the truth: the source of all figures and pictures of a run."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bundle.run import Metrics

THRESHOLD = 0.5  # from which a label that does not exclude others counts as found


@dataclass(frozen=True)
class Answers:
    """The model's probabilities for N pictures and K classes."""

    pixels: NDArray[np.uint8]  # [N, H, W, C]
    labels: NDArray[np.int64]  # [N]; [N, K] of 0 and 1 where labels do not exclude each other
    probabilities: NDArray[np.float32]  # [N, K]

    @property
    def multilabel(self) -> bool:
        """Whether a picture can have several labels."""
        return self.labels.ndim == 2

    @property
    def predicted(self) -> NDArray[np.int64]:
        """The most probable class of each picture: int64 [N]; of a multilabel set [N, K], 1 for each label found."""
        if self.multilabel:
            return (self.probabilities >= THRESHOLD).astype(np.int64)
        winners: NDArray[np.int64] = np.argmax(self.probabilities, axis=1)
        return winners

    @property
    def right(self) -> NDArray[np.bool_]:
        """Which pictures are answered rightly, with all their labels: bool [N]."""
        same: NDArray[np.bool_] = self.predicted == self.labels
        return np.all(same, axis=1) if self.multilabel else same

    @property
    def sureness(self) -> NDArray[np.float32]:
        """How sure the answers are, float32 [N]: the class's probability; of several labels, the farthest from its truth."""
        distance = np.abs(self.probabilities - self.labels) if self.multilabel else self.probabilities
        highest: NDArray[np.float32] = distance.max(axis=1)
        return highest

    @property
    def metrics(self) -> Metrics:
        """Cross-entropy (probabilities clipped at 1e-7, as Keras does) and accuracy, of a multilabel set over all labels."""
        if self.multilabel:
            of_truth = np.where(self.labels == 1, self.probabilities, 1 - self.probabilities).astype(np.float64)
        else:
            of_truth = self.probabilities[np.arange(len(self.labels)), self.labels].astype(np.float64)
        return Metrics(
            loss=float(-np.log(np.clip(of_truth, 1e-7, 1)).mean()),
            accuracy=float((self.predicted == self.labels).mean()),
        )
