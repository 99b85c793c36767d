"""Picture files that ask for more than they are, each written out so that one sees how."""

import io
import struct
import zlib
from collections.abc import Iterable

from PIL import Image

PNG = b"\x89PNG\r\n\x1a\n"
Tag = tuple[int, int, int, int]  # tag, type, count, value or offset
SHORT, LONG, RATIONAL = 3, 4, 5


def chunk(kind: bytes, body: bytes = b"") -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(before: bytes = b"", after: bytes = b"") -> bytes:
    """A black PNG of one pixel with chunks before and after its pixels."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    return PNG + header + before + chunk(b"IDAT", zlib.compress(bytes(2))) + after + chunk(b"IEND")


def segment(marker: int, body: bytes) -> bytes:
    """A segment of a JPEG."""
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def progressive(width: int, height: int, scans: int, frame: int = 0xC2) -> bytes:
    """A grey JPEG of `scans` scans besides the first, each of which goes over all blocks by a few codes "32,767 blocks end here"."""
    tables = segment(0xDB, bytes([0] + [1] * 64))
    tables += segment(frame, struct.pack(">BHHB", 8, height, width, 1) + bytes([1, 0x11, 0]))
    one_code = bytes([1] + [0] * 15)
    tables += segment(0xC4, b"\x00" + one_code + b"\x00") + segment(0xC4, b"\x10" + one_code + b"\xe0")
    blocks = -(-width // 8) * -(-height // 8)
    first = segment(0xDA, bytes([1, 1, 0, 0, 0, 0x01])) + bytes(blocks // 8 + 1)
    bits = ("0" + "1" * 14) * -(-blocks // 32_767)
    ends = (
        int(bits.ljust(-(-len(bits) // 8) * 8, "1"), 2).to_bytes(-(-len(bits) // 8), "big").replace(b"\xff", b"\xff\0")
    )
    refining = segment(0xDA, bytes([1, 1, 0, 1, 63, 0x10])) + ends
    start = segment(0xDA, bytes([1, 1, 0, 1, 63, 0x01])) + ends
    return b"\xff\xd8" + tables + first + (start + refining * (scans - 1) if scans else b"") + b"\xff\xd9"


def jpeg(before: bytes) -> bytes:
    """A JPEG with segments before its own."""
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "JPEG")
    return b"\xff\xd8" + before + file.getvalue()[2:]


def gif(frame: tuple[int, int], before: bytes = b"") -> bytes:
    """A GIF of 16 x 16 whose first frame is of another size, and to be cleared when it has been shown."""
    control = b"!\xf9\x04" + bytes([2 << 2, 0, 0, 0, 0])
    image = b"," + struct.pack("<4HB", 0, 0, *frame, 0) + b"\x08\0"
    return b"GIF89a" + struct.pack("<HHBBB", 16, 16, 0x80, 0, 0) + bytes(6) + before + control + image + b";"


def bmp_with_a_gap(width: int) -> bytes:
    """A BMP of one row in run lengths, which leave 255 rows out."""
    header = struct.pack("<LllHHLLllLL", 40, width, 1, 1, 8, 1, 0, 0, 0, 1, 0)
    body = bytes(4) + bytes([0, 2, 0, 0, 0, 255, 0, 1])
    return b"BM" + struct.pack("<LLL", 14 + len(header) + len(body), 0, 14 + len(header) + 4) + header + body


def tiff(tags: Iterable[Tag], body: bytes = b"", magic: bytes = b"II*\0") -> bytes:
    """A TIFF whose `body` begins at byte 8 and whose directory follows it."""
    entries = sorted(tags)
    directory = struct.pack("<H", len(entries))
    for tag, type_, count, value in entries:
        directory += struct.pack("<HHLL", tag, type_, count, value)
    return magic + struct.pack("<L", 8 + len(body)) + body + directory + bytes(4)


def tiff_tags(width: int, height: int, compression: int) -> list[Tag]:
    """The tags that every grey TIFF has."""
    sizes = [(256, LONG, 1, width), (257, LONG, 1, height), (258, SHORT, 1, 8)]
    return [*sizes, (259, SHORT, 1, compression), (262, SHORT, 1, 1), (277, SHORT, 1, 1)]


def overlapping_strips(rows: int, compression: int) -> bytes:
    """A TIFF of one pixel a row, each of whose strips is the same stream, which says nothing for a while."""
    nothing = b"\x00\x00\x00\xff\xff" * 2000  # empty blocks of Deflate
    stream = b"\x78\x9c" + nothing + zlib.compress(b"\x00")[2:]
    offsets = struct.pack("<L", 8) * rows
    counts = struct.pack("<L", len(stream)) * rows
    strips = [(273, LONG, rows, 8 + len(stream)), (278, LONG, 1, 1), (279, LONG, rows, 8 + len(stream) + len(offsets))]
    return tiff([*tiff_tags(1, rows, compression), *strips], stream + offsets + counts)
