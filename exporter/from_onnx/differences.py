"""Whether the gradient that the rules make is one: checked against differences.

Nothing differentiates an ONNX graph but this exporter, so no other program can be asked. With S a score, A the feature map, G the
gradient of S at A, and D a random direction,

    (S(A + eps D) - S(A - eps D)) / 2 eps  =  <G, D>

The left side needs nothing but the head of the network, run in double precision by ONNX's own reference implementation, so
that eps can be small. A wrong rule shows in nearly every direction; a handful of them stand for all the thousands of
elements of G. Numerical differentiation of every element, the alternative, would take a run of the head for each.

A network is not differentiable everywhere: at the 0 of a ReLU, and where two elements of a MaxPool's window are equal, which
after a ReLU many are. Differences taken there would tell of neither side. So they are taken a little beside the real map,
in general position, where both sides have one answer.

What remains is that G is computed in float32. Measured, relative to the length of G: 1e-6 for the usual heads, of a pooling and
dense layers, and for transformers of two blocks; 3e-3 where most of EfficientNet-Lite0 was taken for the head, because among
a million ReLUs a few are so near to 0 that float32 and float64 disagree about them.
"""

import numpy as np
from numpy.typing import NDArray

from exporter.from_onnx.head import Head

DIRECTIONS = 4
# The distance from the real map, and the step from there, of the map's standard deviation. Where a window of MaxPool held
# only zeros, its largest element is ahead of the next by about the distance, and a step must not change their order.
_BESIDE = 1e-2
_STEP = 1e-8


def gradient_error(
    head: Head, pixels: NDArray[np.uint8], classes: NDArray[np.int64], seed: NDArray[np.float32]
) -> float:
    """The root mean square of <G, D> minus the difference quotient, relative to that of <G, D>, which is the length of G.

    For the scores of `classes` [N, M] of pixels [N, H, W, C], which `seed` f32 [N, M, K] picks out one by one; the longest
    gradient counts.
    """
    random = np.random.default_rng(0)
    real = head.map(pixels)
    spread = float(real.std()) or 1.0
    beside = real + (_BESIDE * spread * random.normal(size=real.shape)).astype(np.float32)
    gradient = head.gradient(pixels, beside, seed).astype(np.float64)
    errors = []
    for direction in random.normal(size=(DIRECTIONS, *real.shape)):
        ahead, behind = (head.scores(pixels, beside + side * _STEP * spread * direction) for side in (1, -1))
        slopes = np.take_along_axis((ahead - behind) / (2 * _STEP * spread), classes, axis=1)
        errors.append(slopes - (gradient * direction[:, None]).sum(axis=(2, 3, 4)))
    longest = np.sqrt((gradient**2).sum(axis=(2, 3, 4))).max()
    return float(np.sqrt(np.square(errors).mean()) / max(longest, np.finfo(np.float64).tiny))
