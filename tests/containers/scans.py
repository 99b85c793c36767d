"""Real pictures to classify, that come with scikit-learn."""

import io

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits


def digits(count: int) -> tuple[list[bytes], list[str]]:
    """The first scanned digits as PNG files of 8x8 pixels, and what they are."""
    scans = load_digits()
    return [_png(scan) for scan in scans.images[:count]], [str(each) for each in scans.target[:count]]


def _png(scan: "np.ndarray[tuple[int, int], np.dtype[np.float64]]") -> bytes:
    file = io.BytesIO()
    Image.fromarray((scan * (255 / 16)).astype(np.uint8)).save(file, "png")
    return file.getvalue()
