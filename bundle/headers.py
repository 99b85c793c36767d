"""What a picture file says of itself, looked at before Pillow opens it.

Opening is no harmless act: Pillow fills the place of a GIF's first frame and reads all of a JPEG's EXIF, before its caller learns
how large the picture is. The sizes that Pillow does tell first are left to the caller; here is only what it tells too late or
not at all. A file that ends too early passes: its decoder says so better.

Formats: ITU T.81 (JPEG), GIF89a, Windows' BITMAPINFOHEADER (BMP); TIFF has a module of its own.
"""

import struct

from bundle import tiff
from bundle.errors import PictureError
from bundle.limits import MAX_SCANS, Limits

# A block of EXIF has at most 64 KiB in a JPEG, and may be carried on into other formats as it is.
MAX_EXIF_BYTES = 1 << 16
# Segments, blocks or bytes of junk before the pixels. An honest file has dozens; XMP in a GIF makes some thousand.
_MOST_PARTS = 10_000

_EXIF = 0xE1
_START_OF_SCAN = 0xDA
_RUN_LENGTHS = (1, 2)  # BI_RLE8, BI_RLE4
_OS2_HEADER_BYTES = 12  # the oldest header, which has no compression
_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xDA)}  # TEM, restarts, start and end of image
_ARITHMETIC = {0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}


def check(data: bytes, limits: Limits) -> int:
    """How often the decoder goes over the pixels: the scans of a JPEG, 1 for most other files.

    Raises PictureError for a file that would cost too much to open.
    """
    try:
        if data.startswith(b"\xff\xd8\xff"):
            return _jpeg(data)
        if data.startswith(b"GIF8"):
            _gif(data, limits.pixels)
        elif data.startswith(b"BM"):
            _bmp(data)
        elif data.startswith((*tiff.MAGIC, *tiff.ODD_MAGIC)):
            return tiff.check(data)
    except (IndexError, struct.error):
        return 1  # cut off
    return 1


def check_size(size: tuple[int, int], most: int) -> None:
    """Raises PictureError for a picture of `size` (width, height) with more than `most` pixels."""
    width, height = size
    if width * height > most:
        raise PictureError(
            f"the picture is {width} x {height} = {width * height:,} pixels, the limit is {most:,}; send a smaller one"
        )


def check_exif(size_bytes: int) -> None:
    """Raises PictureError for a block of EXIF that is larger than any camera's."""
    if size_bytes > MAX_EXIF_BYTES:
        raise PictureError(f"its EXIF block has {size_bytes:,} bytes, the limit is {MAX_EXIF_BYTES:,}; send it without")


def _jpeg(data: bytes) -> int:
    """The number of scans."""
    at, exif = 2, 0
    for _ in range(_MOST_PARTS):
        at = data.find(b"\xff", at)
        marker = data[at + 1] if at >= 0 else _START_OF_SCAN
        if marker == _START_OF_SCAN:
            return _scans(data.count(b"\xff\xda"))
        if marker in _ARITHMETIC:
            raise PictureError("arithmetic-coded JPEGs are not supported; write it with Huffman coding, as is usual")
        if marker in (0x00, 0xFF):
            at += 1
        elif marker in _WITHOUT_LENGTH:
            at += 2
        else:
            (length,) = struct.unpack_from(">H", data, at + 2)
            if marker == _EXIF and data.startswith(b"Exif\0\0", at + 4):
                exif += length
                check_exif(exif)
            at += 2 + length
    raise _too_many_parts()


def _scans(found: int) -> int:
    if found > MAX_SCANS:
        raise PictureError(f"the JPEG has {found} scans, the limit is {MAX_SCANS}; write it with fewer")
    return max(1, found)


def _gif(data: bytes, max_pixels: int) -> None:
    """The first frame, which may reach beyond the screen that the header tells of."""
    (flags,) = struct.unpack_from("<B", data, 10)
    at = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    for _ in range(_MOST_PARTS):
        if data[at] == ord(","):
            left, top, width, height = struct.unpack_from("<4H", data, at + 1)
            check_size((left + width, top + height), max_pixels)
            return
        if data[at] == ord(";"):
            return
        at = _after_blocks(data, at + 2) if data[at] == ord("!") else at + 1
    raise _too_many_parts()


def _bmp(data: bytes) -> None:
    """Pillow unpacks run lengths in Python, and makes whatever gap they ask for: gigabytes in a row of millions."""
    (header_bytes,) = struct.unpack_from("<L", data, 14)
    if header_bytes > _OS2_HEADER_BYTES and struct.unpack_from("<L", data, 30)[0] in _RUN_LENGTHS:
        raise PictureError("BMPs with run-length encoding are not supported; write it without, or as a PNG")


def _after_blocks(data: bytes, at: int) -> int:
    """Where the sub-blocks that begin at `at` have ended."""
    for _ in range(_MOST_PARTS):
        size = data[at]
        at += 1 + size
        if not size:
            return at
    raise _too_many_parts()


def _too_many_parts() -> PictureError:
    return PictureError(f"there are over {_MOST_PARTS:,} parts before its pixels; write it without what is no picture")
