"""Whatever bytes arrive: pixels, or a PictureError whose message helps the person who sent them."""

import random

import numpy as np
import pytest
from PIL import Image

from bundle import preprocess
from bundle.errors import PictureError
from bundle.limits import DEFAULT_MAX_PIXELS, FORMATS, Limits
from tests.bundle.pictures import PLAIN, encode, noise, png_with_header, spec

PICTURE = Image.fromarray(noise(40, 30))


def refusal(data: bytes, max_pixels: int = DEFAULT_MAX_PIXELS) -> str:
    with pytest.raises(PictureError) as caught:
        preprocess.from_bytes(data, PLAIN, Limits(max_pixels))
    return str(caught.value)


def test_no_bytes_are_refused_as_empty() -> None:
    assert refusal(b"") == "the image is empty (0 bytes)"


@pytest.mark.parametrize("data", [b"hello, world", b"<svg></svg>", b"%PDF-1.7", b"\x00" * 100])
def test_other_files_are_refused_with_their_first_bytes_and_the_formats_that_work(data: bytes) -> None:
    message = refusal(data)
    assert repr(data[:12]) in message
    assert all(name in message for name in FORMATS)


@pytest.mark.parametrize("format_", FORMATS)
def test_a_truncated_picture_is_refused_with_its_reason(format_: str) -> None:
    data = encode(PICTURE, format_)
    for part in (0.5, 0.9):
        assert "broken or incomplete: " in refusal(data[: int(part * len(data))])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("format_", FORMATS)
def test_only_a_prefix_that_holds_every_pixel_is_answered_and_then_like_the_whole(format_: str) -> None:
    data = encode(PICTURE, format_)
    whole = preprocess.from_bytes(data, PLAIN)
    answered = 0
    for length in range(0, len(data), 7):
        try:
            sample = preprocess.from_bytes(data[:length], PLAIN)
        except PictureError:
            continue
        answered += 1
        np.testing.assert_array_equal(sample.pixels, whole.pixels)
    assert answered <= 5  # closing marks and checksums only


@pytest.mark.parametrize(("width", "height"), [(60_000, 60_000), (2**31 - 1, 1), (1, 50_000_001)])
def test_a_huge_header_is_refused_before_anything_is_decoded(width: int, height: int) -> None:
    message = refusal(png_with_header(width, height))
    assert f"{width} x {height}" in message
    assert "the limit is 50,000,000" in message


def test_the_limit_on_pixels_is_inclusive_and_the_callers_to_choose() -> None:
    data = encode(PICTURE, "PNG")
    assert preprocess.from_bytes(data, PLAIN, Limits(1200)).view.picture == (40, 30)
    assert "40 x 30 = 1,200 pixels, the limit is 1,199" in refusal(data, max_pixels=1199)
    with pytest.raises(PictureError, match="the limit is 1,199"):
        preprocess.upright(data, 10, Limits(1199))


def test_the_callers_limit_replaces_pillows_own_warning_and_error() -> None:
    for width, height in ((10_000, 9_000), (20_000, 10_000)):  # above Pillow's two limits, 89 and 179 million
        assert "broken or incomplete: " in refusal(png_with_header(width, height), max_pixels=10**9)


@pytest.mark.parametrize(("width", "height"), [(0, 0), (0, 8), (8, 0)])
def test_a_picture_without_area_is_refused(width: int, height: int) -> None:
    assert refusal(png_with_header(width, height))


def test_a_header_without_pixels_is_refused_as_incomplete() -> None:
    assert "broken or incomplete: " in refusal(png_with_header(8, 8))


def test_float_and_32_bit_pictures_are_refused_with_their_mode() -> None:
    for mode in ("F", "I"):
        message = refusal(encode(Image.new(mode, (4, 4)), "TIFF"))
        assert f"mode {mode} " in message
        assert "convert it" in message


def test_a_lab_tiff_is_refused_rather_than_misread() -> None:
    assert "mode LAB " in refusal(encode(Image.new("LAB", (4, 4)), "TIFF"))


def test_formats_outside_the_list_are_refused_although_pillow_reads_them() -> None:
    for format_ in ("PPM", "ICO", "TGA"):
        assert "not a picture that can be read" in refusal(encode(PICTURE, format_))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("mode", ["1", "L", "RGB", "CMYK", "P", "RGBA"])
@pytest.mark.parametrize("format_", FORMATS)
def test_random_damage_never_raises_anything_but_a_picture_error(mode: str, format_: str) -> None:
    try:
        data = encode(PICTURE.convert(mode), format_)
    except (OSError, ValueError):  # the format has no such mode
        data = encode(PICTURE, format_)
    rng = random.Random(f"{mode} {format_}")
    specs = [PLAIN, spec(colour="grey", fit="contain"), spec(fit="cover", crop=0.5)]
    for round_ in range(40):
        broken = bytearray(data)
        for _ in range(rng.choice([1, 2, 8])):
            broken[rng.randrange(rng.choice([64, len(data)]))] = rng.randrange(256)
        chosen = specs[round_ % 3]
        try:
            sample = preprocess.from_bytes(bytes(broken), chosen, Limits(100_000))
        except PictureError:
            continue
        assert sample.pixels.shape == chosen.shape
