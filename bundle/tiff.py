"""What a TIFF file asks for, looked at before Pillow and libtiff do.

A directory may point every strip at the same bytes, so that a file of megabytes is unpacked a million times, and Pillow makes an object
of every number in a tag. libtiff decodes in one go and cannot be interrupted: what it will do has to be known before.

Format: TIFF 6.0 (Adobe, 1992).
"""

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from bundle.errors import PictureError
from bundle.limits import MAX_SCANS

MAGIC = (b"II*\0", b"MM\0*")
# Pillow opens these, too: BigTIFF, which is for files of gigabytes, and others that no program writes.
ODD_MAGIC = (b"II+\0", b"MM\0+", b"II\0*", b"MM*\0")

# Bytes of a value by type. Pillow makes a fraction of each of the rational ones, which takes microseconds.
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_BYTES, _RATIONALS = (1, 2, 6, 7), (5, 10)
_MOST_RATIONALS = 1_000
_MOST_NUMBERS = 1 << 18
_MOST_ENTRIES = 1_000
_MOST_COVERED = 1 << 20  # pixels that the tiles of a tiny picture may cover
_FORMATS = {3: "H", 4: "L"}  # what counts and offsets of strips may be

_WIDTH, _HEIGHT, _COMPRESSION, _STRIP_BYTES = 256, 257, 259, 279
_TILE_WIDTH, _TILE_HEIGHT, _TILE_BYTES = 322, 323, 325
_DIRECTORIES = (34665, 34853, 40965)  # EXIF, GPS, interoperability

_RAW, _JPEG = 1, 7
# Those that are common: CCITT (2, 3, 4), LZW, JPEG, Deflate (8 and 32946), PackBits.
_COMPRESSIONS = (_RAW, 2, 3, 4, 5, _JPEG, 8, 32773, 32946)


@dataclass(frozen=True)
class _Entry:
    """A tag of a directory; `at` is where its values begin."""

    tag: int
    type: int
    count: int
    at: int


def check(data: bytes) -> int:
    """How often the decoder goes over the pixels.

    Raises PictureError for a file that would cost too much, struct.error for one that is cut off.
    """
    if data.startswith(ODD_MAGIC):
        raise PictureError("BigTIFF is not supported; write it as a classic TIFF")
    order = "<" if data.startswith(b"II") else ">"
    (first,) = struct.unpack_from(f"{order}L", data, 4)
    entries = _directory(data, order, first)
    for inner in _inner_directories(data, order, entries):
        _directory(data, order, inner)
    compression = _number(data, order, entries, _COMPRESSION, _RAW)
    if compression not in _COMPRESSIONS:
        raise PictureError(
            f"TIFF compression {compression} is not supported; write it with LZW or Deflate, or as a PNG"
        )
    _check_tiles(data, order, entries)
    if compression == _RAW:
        return 1
    strips = _check_strips(data, order, entries)
    return _scans_of_each(data, strips) if compression == _JPEG else 1


def _directory(data: bytes, order: str, at: int) -> dict[int, _Entry]:
    """The entries by tag; of two with the same, the first one counts, as it does for Pillow and libtiff."""
    (count,) = struct.unpack_from(f"{order}H", data, at)
    if count > _MOST_ENTRIES:
        raise PictureError(f"its TIFF directory has {count:,} entries, the limit is {_MOST_ENTRIES:,}")
    entries: dict[int, _Entry] = {}
    for number in range(count):
        tag, type_, values, offset = struct.unpack_from(f"{order}HHLL", data, at + 2 + 12 * number)
        _check_count(tag, type_, values)
        inline = _SIZES.get(type_, 1) * values <= 4
        entries.setdefault(tag, _Entry(tag, type_, values, at + 10 + 12 * number if inline else offset))
    return entries


def _check_count(tag: int, type_: int, count: int) -> None:
    most = _MOST_RATIONALS if type_ in _RATIONALS else _MOST_NUMBERS
    if type_ in _SIZES and type_ not in _BYTES and count > most:
        raise PictureError(f"its TIFF tag {tag} has {count:,} values, the limit is {most:,}")


def _inner_directories(data: bytes, order: str, entries: dict[int, _Entry]) -> Iterator[int]:
    """Where the directories begin that Pillow reads along; interoperability is in that of EXIF."""
    for tag in _DIRECTORIES:
        if at := _number(data, order, entries, tag, 0):
            yield at
            if tag == _DIRECTORIES[0]:
                interoperability = _number(data, order, _directory(data, order, at), _DIRECTORIES[2], 0)
                yield from (interoperability,) if interoperability else ()


def _number(data: bytes, order: str, entries: dict[int, _Entry], tag: int, default: int) -> int:
    """The first value of a tag that is a whole number."""
    entry = entries.get(tag)
    if entry is None or not entry.count or _SIZES.get(entry.type, 8) > 4:
        return default
    letter = {1: "B", 2: "H", 4: "L"}[_SIZES[entry.type]]
    value: int = struct.unpack_from(f"{order}{letter}", data, entry.at)[0]
    return value


def _check_tiles(data: bytes, order: str, entries: dict[int, _Entry]) -> None:
    """Tiles are decoded whole, however little of them lies inside the picture."""
    width, height = (_number(data, order, entries, tag, 1) for tag in (_WIDTH, _HEIGHT))
    across, down = (_number(data, order, entries, tag, 1) or 1 for tag in (_TILE_WIDTH, _TILE_HEIGHT))
    covered = math.ceil(width / across) * across * math.ceil(height / down) * down
    if covered > max(_MOST_COVERED, 4 * width * height):
        raise PictureError(f"its TIFF tiles of {across} x {down} cover {covered:,} pixels for {width} x {height}")


def _check_strips(data: bytes, order: str, entries: dict[int, _Entry]) -> int:
    """How many strips or tiles there are, which together cannot have more bytes than the file."""
    strips = [entries[tag] for tag in (_STRIP_BYTES, _TILE_BYTES) if tag in entries]
    if not strips or any(each.type not in _FORMATS for each in strips):
        raise PictureError("the TIFF does not say how many bytes each strip has; write it anew")
    total = 0
    for each in strips:
        total += sum(struct.unpack_from(f"{order}{each.count}{_FORMATS[each.type]}", data, each.at))
    if total > len(data):
        raise PictureError(f"the strips of the TIFF have {total:,} bytes together, the file only {len(data):,}")
    return sum(each.count for each in strips)


def _scans_of_each(data: bytes, strips: int) -> int:
    """Scans of an average strip, which is a JPEG by itself."""
    scans = math.ceil(data.count(b"\xff\xda") / max(1, strips))
    if scans > MAX_SCANS:
        raise PictureError(f"its JPEG strips have {scans} scans each, the limit is {MAX_SCANS}")
    return max(1, scans)
