"""Pictures inside the page, as data: addresses."""

import base64
import io
import math

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from training.calibration import BINS, Reliability
from training.style import DPI, SERIES

_SIDE = 160  # the least length of a picture's longer side


def address(data: bytes) -> str:
    """PNG data as an address that an image can have."""
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"


def picture(pixels: NDArray[np.uint8]) -> str:
    """A picture uint8 [H, W, 3] as an address."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", optimize=True)
    return address(file.getvalue())


def enlarged(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """A picture [H, W, C], small ones enlarged by a whole factor, so that their pixels stay visible."""
    factor = math.ceil(_SIDE / max(pixels.shape[:2]))
    return pixels.repeat(factor, axis=0).repeat(factor, axis=1).astype(np.float32)


def calibration(found: Reliability) -> str:
    """Accuracy over confidence, a bar for each bin, and how many answers each bin has."""
    figure = Figure(figsize=(5.2, 4.6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    filled = found.counts > 0
    middle = (np.arange(BINS) + 0.5) / BINS
    above.bar(middle[filled], found.accuracy[filled], 0.94 / BINS, color=SERIES[0], label="right")
    above.plot(
        found.confidence[filled], found.accuracy[filled], "o", color=SERIES[1], markersize=4, label="mean of the bin"
    )
    above.plot([0, 1], [0, 1], color="#888888", linestyle=":", label="calibrated")
    above.set(ylabel="share that is right", xlim=(0, 1), ylim=(0, 1.02))
    above.set_title(f"expected calibration error {found.error:.4f}", fontsize=11)
    above.legend(frameon=False, loc="upper left")
    below.bar(middle[filled], found.counts[filled], 0.94 / BINS, color="#9aa3ad")
    below.set(xlabel="probability of the answer", ylabel="pictures", yscale="log")
    for axes in (above, below):
        axes.spines[["top", "right"]].set_visible(False)
    file = io.BytesIO()
    figure.savefig(file, dpi=DPI)
    return address(file.getvalue())
