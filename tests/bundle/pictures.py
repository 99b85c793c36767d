"""Pictures for the tests of preprocessing, made from seeds and bytes so that each test shows what it sends."""

import io
import struct
import zlib
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bundle.preprocess import PreprocessSpec

PLAIN = PreprocessSpec(
    height=8, width=8, colour="rgb", fit="stretch", crop=1.0, resampling="bilinear", background=(0, 0, 0)
)


def spec(**changes: object) -> PreprocessSpec:
    """PLAIN with some fields changed."""
    return msgspec.structs.replace(PLAIN, **changes)


def encode(image: Image.Image, format_: str, **options: Any) -> bytes:
    """`image` as a picture file."""
    buffer = io.BytesIO()
    image.save(buffer, format_, **options)
    return buffer.getvalue()


def noise(width: int, height: int, channels: int = 3, seed: int = 0) -> NDArray[np.uint8]:
    """uint8 [height, width, channels] of seeded noise."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)


def quarters(width: int, height: int) -> Image.Image:
    """Red, green / blue, white quarters: every turn and flip of it looks different."""
    pixels = np.full((height, width, 3), 255, np.uint8)
    top, left = slice(None, height // 2), slice(None, width // 2)
    bottom, right = slice(height // 2, None), slice(width // 2, None)
    pixels[top, left], pixels[top, right], pixels[bottom, left] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    return Image.fromarray(pixels)


def png_with_header(width: int, height: int) -> bytes:
    """A PNG whose header promises `width` x `height` RGB pixels, and which holds none."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )
