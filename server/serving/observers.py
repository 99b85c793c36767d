"""Those who look on while pictures are answered: they see what went in and what came out, and change nothing.

A shadow version computes the same pictures again, a recorder keeps some of them. They are called in the event loop, once an answer is
complete and before it is sent: what takes longer than a decision belongs into a task of their own.
"""

from collections.abc import Callable, Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from server.serving.models import ServedClassifier


class Observed(Struct, frozen=True):
    """Pictures that travelled together through a classifier, and its answer."""

    request_id: str
    model: ServedClassifier
    pixels: NDArray[np.uint8]  # [n, H, W, C], what the engine was given; not to be written to
    encoded: bytes | None  # the picture file, where one came; then n is 1
    probabilities: NDArray[np.float32]  # [n, K]


Observer = Callable[[Observed], None]
Observers = Sequence[Observer]
