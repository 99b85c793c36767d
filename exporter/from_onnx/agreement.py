"""Whether a network still answers alike after it was rewritten, in one of the ways that come before Grad-CAM.

Converters and rewriting rules have errors of their own, and the checks at the end of an export would only say that something
is wrong. Here the message can say what.
"""

import numpy as np
from numpy.typing import NDArray

from exporter.errors import ExportError
from exporter.from_onnx.read import ImageInput

_PICTURES = 3
_ROUNDING = 1e-4  # of the largest answer


def probe(image: ImageInput) -> NDArray[np.generic]:
    """A few inputs of noise, as networks are trained on them: mean 0 and deviation 1, or bytes."""
    random = np.random.default_rng(0)
    size = (_PICTURES, *image.shape)
    noise = random.integers(0, 256, size) if image.dtype == np.uint8 else random.normal(size=size)
    return noise.astype(image.dtype)


def same(before: NDArray[np.float32], after: NDArray[np.float32], rounding: float = _ROUNDING) -> bool:
    """Whether the answers [N, K] differ by no more than `rounding` of the largest; not if one is not a number."""
    return before.shape == after.shape and bool(np.abs(after - before).max() <= rounding * np.abs(before).max())


def require(before: NDArray[np.float32], after: NDArray[np.float32], what: str, rounding: float = _ROUNDING) -> None:
    """Raises ExportError, telling `what` was done, unless the answers are the `same`."""
    if not same(before, after, rounding):
        raise ExportError(f"{what} changes the model's answers; export it anew so that this is not needed")
