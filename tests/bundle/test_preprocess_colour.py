"""Every colour mode that a file can have comes out as 8-bit RGB or grey of the right brightness."""

import struct

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from bundle import preprocess
from bundle.errors import PictureError
from tests.bundle.pictures import encode, noise, quarters, spec

BLUE = (20, 40, 200)


def pixels(data: bytes, **changes: object) -> NDArray[np.uint8]:
    size = {"height": 8, "width": 8, "resampling": "nearest"}
    return preprocess.from_bytes(data, spec(**size, **changes)).pixels


def test_a_16_bit_grey_png_is_scaled_and_not_clipped() -> None:
    wide = np.linspace(0, 65_535, 64).astype(np.uint16).reshape(8, 8)
    got = pixels(encode(Image.fromarray(wide), "PNG"), colour="grey")[..., 0]
    np.testing.assert_array_equal(got, np.round(wide / 257).astype(np.uint8))
    assert (got.min(), got.max()) == (0, 255)


def test_a_16_bit_grey_picture_is_the_same_in_rgb_and_in_either_byte_order() -> None:
    wide = np.linspace(0, 65_535, 64).astype(np.uint16).reshape(8, 8)
    little = encode(Image.fromarray(wide), "TIFF")
    big = encode(Image.frombytes("I;16B", (8, 8), wide.astype(">u2").tobytes()), "TIFF")
    for data in (little, big):
        got = pixels(data)
        np.testing.assert_array_equal(got, np.repeat(np.round(wide / 257).astype(np.uint8)[..., None], 3, 2))


def test_a_cmyk_jpeg_comes_out_in_its_colours() -> None:
    data = encode(quarters(16, 16).convert("CMYK"), "JPEG", quality=100)
    got = pixels(data).astype(int)
    want = np.asarray(quarters(8, 8)).astype(int)
    assert np.abs(got - want).max() <= 3


def test_1_bit_pictures_are_black_and_white() -> None:
    checks = Image.fromarray((np.indices((8, 8)).sum(0) % 2 * 255).astype(np.uint8)).convert("1")
    for format_ in ("PNG", "TIFF", "BMP", "GIF"):
        got = pixels(encode(checks, format_), colour="grey")[..., 0]
        np.testing.assert_array_equal(got, np.indices((8, 8)).sum(0) % 2 * 255)


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
@pytest.mark.parametrize("format_", ["PNG", "TIFF", "WEBP"])
def test_transparency_shows_the_background(mode: str, format_: str) -> None:
    image = Image.new("RGBA", (8, 8), (200, 200, 200, 255))
    image.paste((200, 200, 200, 0), (0, 0, 4, 8))
    options = {"lossless": True} if format_ == "WEBP" else {}
    got = pixels(encode(image.convert(mode), format_, **options), background=BLUE)
    assert (got[:, :4] == BLUE).all()
    assert (got[:, 4:] == 200).all()


def test_half_transparency_is_blended() -> None:
    got = pixels(encode(Image.new("RGBA", (8, 8), (255, 255, 255, 128)), "PNG"), background=(0, 0, 0))
    assert (got == 128).all()


def test_a_palette_with_transparency_shows_the_background_in_grey_too() -> None:
    image = Image.new("P", (8, 8), 0)
    image.putpalette([255, 0, 0, 0, 255, 0])
    image.paste(1, (4, 0, 8, 8))
    for data in (encode(image, "PNG", transparency=0), encode(image, "GIF", transparency=0)):
        got = pixels(data, background=BLUE)
        assert (got[:, :4] == BLUE).all()
        assert (got[:, 4:] == (0, 255, 0)).all()
        luma = round((299 * BLUE[0] + 587 * BLUE[1] + 114 * BLUE[2]) / 1000)  # ITU-R 601-2
        assert (pixels(data, background=BLUE, colour="grey")[:, :4] == luma).all()


def test_a_palette_with_one_opacity_for_each_entry_is_blended() -> None:
    image = Image.fromarray(np.repeat(np.arange(8, dtype=np.uint8) * 32, 8).reshape(8, 8), "L").convert("P")
    got = pixels(encode(image, "PNG", transparency=bytes(range(256))), background=(0, 0, 0))[:, 0, 0]
    grey = np.arange(8) * 32
    np.testing.assert_allclose(got, grey * grey / 255, atol=1)


def test_a_transparent_colour_of_an_rgb_png_shows_the_background() -> None:
    data = encode(quarters(8, 8), "PNG", transparency=(255, 0, 0))
    got = pixels(data, background=BLUE)
    assert (got[:4, :4] == BLUE).all()
    assert (got[:4, 4:] == (0, 255, 0)).all()


def test_premultiplied_grey_is_refused_rather_than_crashing() -> None:
    data = encode(Image.new("LA", (4, 4)), "TIFF")
    tag, associated = struct.pack("<HHI", 338, 3, 1), struct.pack("<HH", 1, 0)  # ExtraSamples = 1
    assert data.count(tag) == 1
    at = data.index(tag) + len(tag)
    with pytest.raises(PictureError, match="mode La "):
        pixels(data[:at] + associated + data[at + 4 :])


def test_the_first_frame_of_an_animation_is_taken() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ((255, 0, 0), (0, 255, 0), (0, 0, 255))]
    for format_, options in (("GIF", {}), ("WEBP", {"lossless": True}), ("PNG", {}), ("TIFF", {})):
        data = encode(frames[0], format_, save_all=True, append_images=frames[1:], **options)
        assert (pixels(data) == (255, 0, 0)).all()


def test_grey_is_the_luma_of_the_colours() -> None:
    colours = noise(8, 8).astype(int)
    got = pixels(encode(Image.fromarray(colours.astype(np.uint8)), "PNG"), colour="grey")[..., 0]
    np.testing.assert_allclose(got, colours @ [0.299, 0.587, 0.114], atol=1)


def test_the_pixels_have_the_shape_and_type_of_the_spec() -> None:
    data = encode(quarters(30, 20), "PNG")
    for colour, channels in (("grey", 1), ("rgb", 3)):
        chosen = spec(height=9, width=7, colour=colour)
        got = preprocess.from_bytes(data, chosen).pixels
        assert got.shape == chosen.shape == (9, 7, channels)
        assert got.dtype == np.uint8
