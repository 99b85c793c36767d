"""What one picture may cost before it is refused.

A picture file is a small program for its decoder: forty bytes can ask for gigabytes, and a hundred kilobytes for a minute. Apart from
`preprocess`, so that whoever only hands the limits on needs neither Pillow nor NumPy.
"""

import math
from dataclasses import dataclass

# Every format that can be allowed; Pillow knows some forty more.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
DEFAULT_MAX_PIXELS = 50_000_000
# Progressive JPEGs have about ten scans. Each goes over all pixels and may do so in a few bytes (libtiff's limit is 100, too).
MAX_SCANS = 100
# The scans of one picture together may go over this many times the largest picture.
MAX_PASSES = 20


@dataclass(frozen=True)
class Limits:
    """The most that a picture may ask for."""

    pixels: int = DEFAULT_MAX_PIXELS
    formats: tuple[str, ...] = FORMATS
    # Of processor time, so that a machine that is busy or was stopped refuses nothing. Looked at whenever the decoder reads on;
    # what does not read on is bounded by the number of pixels.
    seconds: float = 5.0
    # In pixels of a JPEG of one scan. A picture above it is not refused, but left to those who have the time: HeavyPictureError.
    work: float = math.inf
