"""Pictures made to cost: each is refused for what it asks, before it is given."""

import math
import struct
import zlib

import pytest
from PIL import Image

from bundle import preprocess
from bundle.errors import HeavyPictureError, PictureError
from bundle.limits import MAX_PASSES, MAX_SCANS, Limits
from tests.bundle import hostile
from tests.bundle.hostile import LONG, RATIONAL, SHORT, chunk, segment, tiff, tiff_tags
from tests.bundle.pictures import PLAIN, encode

EXIF = b"Exif\0\0MM\0*" + struct.pack(">LHHHLL", 8, 1, 0x011A, RATIONAL, 8_000, 26) + bytes(65_000)
REFUSED = {
    "a GIF whose frame is larger than its screen": (
        hostile.gif((60_000, 60_000)),
        "60000 x 60000 = 3,600,000,000 pixels",
    ),
    "a GIF of comments": (hostile.gif((8, 8), b"!\xfe\x01a\x00" * 20_000), "over 10,000 parts before its pixels"),
    "a GIF of one endless comment": (hostile.gif((8, 8), b"!\xfe" + b"\x01a" * 20_000), "over 10,000 parts before"),
    "a JPEG of a thousand scans": (hostile.progressive(64, 64, 1000), "1001 scans, the limit is 100"),
    "a JPEG in arithmetic coding": (
        hostile.progressive(64, 64, 1, frame=0xCA),
        "arithmetic-coded JPEGs are not supported",
    ),
    "a JPEG of EXIF": (hostile.jpeg(segment(0xE1, EXIF) * 2), "its EXIF block has 130"),
    "a JPEG of junk": (hostile.jpeg(b"\xff\x00" * 20_000), "over 10,000 parts before its pixels"),
    "a PNG of EXIF": (hostile.png(chunk(b"eXIf", EXIF * 2)), "its EXIF block has 130"),
    "a PNG of EXIF behind its pixels": (hostile.png(after=chunk(b"eXIf", EXIF * 2)), "its EXIF block has 130"),
    "a PNG of EXIF in text": (
        hostile.png(chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n1\n" + b"00" * 100_000))),
        "its EXIF block has 200,",
    ),
    "a PNG of chunks": (hostile.png(chunk(b"teXt") * 200_000), "takes too long to decode: over 0.1 s"),
    "a PNG of colour profiles": (
        hostile.png(chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(1_000_000))) * 1000),
        "takes too long to decode: over 0.1 s",
    ),
    "a BMP with a gap of 255 rows of millions": (hostile.bmp_with_a_gap(40_000_000), "run-length encoding"),
    "a TIFF of fractions": (
        tiff([*tiff_tags(1, 1, 1), (282, RATIONAL, 100_000, 8)], bytes(800_000)),
        "its TIFF tag 282 has 100,000 values, the limit is 1,000",
    ),
    "a TIFF with EXIF of fractions": (
        tiff([*tiff_tags(1, 1, 1), (34665, LONG, 1, 8)], struct.pack("<HHHLL", 1, 34, RATIONAL, 100_000, 0)),
        "its TIFF tag 34 has 100,000 values",
    ),
    "a TIFF of numbers": (
        tiff([*tiff_tags(1, 1, 1), (273, SHORT, 1 << 20, 8)], bytes(1 << 21)),
        "its TIFF tag 273 has 1,048,576 values, the limit is 262,144",
    ),
    "a TIFF of tags": (tiff([(tag, SHORT, 1, 0) for tag in range(2000)]), "has 2,000 entries, the limit is 1,000"),
    "a TIFF whose strips are all the same": (hostile.overlapping_strips(1000, 8), "have 10,009,000 bytes together"),
    "a TIFF without sizes of strips": (
        tiff([*tiff_tags(9, 9, 8), (273, LONG, 1, 8)], bytes(99)),
        "does not say how many bytes each strip has",
    ),
    "a TIFF of LZMA": (tiff(tiff_tags(9, 9, 34925)), "TIFF compression 34925 is not supported"),
    "a narrow TIFF of wide tiles": (
        tiff([*tiff_tags(1, 50_000, 1), (322, SHORT, 1, 4096), (323, SHORT, 1, 16)]),
        "tiles of 4096 x 16 cover 204,800,000 pixels for 1 x 50000",
    ),
    "a BigTIFF": (tiff([], magic=b"II+\0"), "BigTIFF is not supported"),
}


def refusal(data: bytes, limits: Limits = preprocess.DEFAULT_LIMITS) -> str:
    with pytest.raises(PictureError) as refused:
        preprocess.from_bytes(data, PLAIN, limits)
    return str(refused.value)


@pytest.mark.parametrize("case", REFUSED)
def test_a_picture_that_asks_for_too_much_is_refused_for_that(case: str) -> None:
    data, reason = REFUSED[case]
    assert reason in refusal(data)


def test_chunks_behind_the_pixels_take_no_longer_than_allowed() -> None:
    data = hostile.png(after=chunk(b"teXt") * 200_000)
    assert "takes too long to decode: over 0.01 s" in refusal(data, Limits(seconds=0.01))


def test_a_progressive_jpeg_may_have_as_many_scans_as_the_limit() -> None:
    assert preprocess.from_bytes(hostile.progressive(64, 64, MAX_SCANS - 1), PLAIN).view.picture == (64, 64)


def test_large_pictures_may_have_fewer_scans_than_small_ones() -> None:
    data = hostile.progressive(64, 64, 2 * MAX_PASSES - 1)
    assert preprocess.from_bytes(data, PLAIN, Limits(pixels=2 * 64 * 64)).view.picture == (64, 64)
    assert "64 x 64 in 40 scans, 20 are allowed at this size" in refusal(data, Limits(pixels=64 * 64))


def test_a_format_that_is_not_allowed_is_not_opened() -> None:
    data = encode(Image.new("RGB", (8, 8)), "GIF")
    message = refusal(data, Limits(formats=("JPEG", "PNG")))
    assert message.endswith("send one of JPEG, PNG")


def test_nothing_is_decoded_in_no_time() -> None:
    assert "takes too long" in refusal(encode(Image.new("RGB", (8, 8)), "PNG"), Limits(seconds=0))


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP"])
def test_more_work_than_allowed_is_left_to_others_and_not_refused(format_: str) -> None:
    data = encode(Image.new("RGB", (100, 100)), format_)
    with pytest.raises(HeavyPictureError):
        preprocess.from_bytes(data, PLAIN, Limits(work=9_999))
    assert preprocess.from_bytes(data, PLAIN, Limits(work=20_000)).view.picture == (100, 100)


def test_what_takes_too_long_among_the_quick_is_left_to_others() -> None:
    with pytest.raises(HeavyPictureError):
        preprocess.from_bytes(hostile.png(chunk(b"teXt") * 200_000), PLAIN, Limits(work=1e6))


def test_more_scans_are_more_work() -> None:
    once, often = (hostile.progressive(100, 100, scans) for scans in (0, 50))
    preprocess.from_bytes(once, PLAIN, Limits(work=10_000))
    with pytest.raises(HeavyPictureError):
        preprocess.from_bytes(often, PLAIN, Limits(work=50_000))
    preprocess.from_bytes(often, PLAIN, Limits(work=math.inf))


@pytest.mark.parametrize("format_", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_frame_is_decoded(format_: str) -> None:
    first, second = Image.new("RGB", (8, 8), (255, 0, 0)), Image.new("RGB", (8, 8), (0, 0, 255))
    data = encode(first, format_, save_all=True, append_images=[second])
    assert preprocess.from_bytes(data, PLAIN).pixels[0, 0].tolist() == pytest.approx([255, 0, 0], abs=4)
