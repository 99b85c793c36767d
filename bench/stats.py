"""The little statistics that measurements need."""

import math
from collections.abc import Sequence

import numpy as np

_Z95 = 1.959964  # the standard normal distribution's 97.5 % quantile


def wilson(hits: int, of: int) -> tuple[float, float]:
    """The 95 % confidence interval of a proportion (Wilson 1927), which is right for few trials and near 0 and 1 too."""
    share = hits / of
    centre = share + _Z95**2 / (2 * of)
    spread = _Z95 * math.sqrt(share * (1 - share) / of + _Z95**2 / (4 * of**2))
    scale = 1 + _Z95**2 / of
    return (centre - spread) / scale, (centre + spread) / scale


def percentiles(values: Sequence[float]) -> tuple[float, float, float]:
    """p50, p90 and p99."""
    p50, p90, p99 = np.percentile(values, (50, 90, 99))
    return float(p50), float(p90), float(p99)
