"""A picture is seen the way up that its EXIF block says, in every format that has one."""

import io

import numpy as np
import pytest
from PIL import Image, ImageOps
from sklearn.datasets import load_sample_image

from bundle import preprocess
from tests.bundle.pictures import encode, noise, quarters, spec

ORIENTATION = 0x0112
# How a camera held that way stores an upright scene (EXIF 2.32, 4.6.5.1.7): the inverse of what a viewer does.
STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
LOSSLESS: dict[str, dict[str, int]] = {
    "PNG": {},
    "TIFF": {},
    "WEBP": {"lossless": True},
    "JPEG": {"quality": 100, "subsampling": 0},
}


def photograph(scene: Image.Image, orientation: int, format_: str) -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    turn = STORED[orientation]
    stored = scene if turn is None else scene.transpose(turn)
    return encode(stored, format_, exif=exif, **LOSSLESS[format_])


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("format_", LOSSLESS)
def test_every_orientation_comes_out_upright(orientation: int, format_: str) -> None:
    scene = quarters(32, 16)
    data = photograph(scene, orientation, format_)
    sample = preprocess.from_bytes(data, spec(width=32, height=16))
    assert sample.view.picture == (32, 16)
    assert np.abs(sample.pixels.astype(int) - np.asarray(scene)).max() <= 4
    for_people = preprocess.upright(data, 100)
    assert np.abs(np.asarray(for_people).astype(int) - np.asarray(scene)).max() <= 4


@pytest.mark.parametrize("orientation", STORED)
def test_a_large_turned_jpeg_is_decoded_small_and_lands_on_the_same_pixels(orientation: int) -> None:
    scene = Image.fromarray(load_sample_image("china.jpg")).resize(
        (1203, 801)
    )  # no multiple of 2: a reduced edge is cut
    data = photograph(scene, orientation, "JPEG")
    chosen = spec(width=100, height=60)
    sample = preprocess.from_bytes(data, chosen)
    with Image.open(io.BytesIO(data)) as stored:
        in_full = preprocess.from_image(ImageOps.exif_transpose(stored), chosen)
    assert sample.view == in_full.view
    assert 0 < np.abs(sample.pixels.astype(int) - in_full.pixels).mean() < 0.5  # not 0: the shortcut was taken


@pytest.mark.parametrize("value", [0, 9, 65_535])
def test_an_orientation_that_does_not_exist_is_ignored(value: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = value
    scene = quarters(8, 8)
    sample = preprocess.from_bytes(encode(scene, "PNG", exif=exif), spec())
    np.testing.assert_array_equal(sample.pixels, np.asarray(scene))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize(
    "block", [b"Exif\x00\x00", b"Exif\x00\x00MM\x00*\xff\xff\xff\xff", b"Exif\x00\x00" + b"\xff" * 40]
)
def test_a_damaged_exif_block_does_not_spoil_the_picture(block: bytes) -> None:
    scene = Image.fromarray(noise(8, 8))
    plain, damaged = encode(scene, "JPEG"), encode(scene, "JPEG", exif=block)
    assert block in damaged
    np.testing.assert_array_equal(
        preprocess.from_bytes(damaged, spec()).pixels, preprocess.from_bytes(plain, spec()).pixels
    )


def test_upright_is_rgb_within_the_side_that_was_asked_for_and_never_enlarged() -> None:
    data = encode(Image.fromarray(noise(300, 150)).convert("L"), "PNG")
    assert preprocess.upright(data, 100).size == (100, 50)
    assert preprocess.upright(data, 1000).size == (300, 150)
    assert preprocess.upright(data, 1000).mode == "RGB"


def test_upright_lays_transparency_over_white() -> None:
    data = encode(Image.new("RGBA", (4, 4), (0, 0, 0, 0)), "PNG")
    assert preprocess.upright(data, 4).getpixel((0, 0)) == (255, 255, 255)


def test_upright_of_a_turned_jpeg_is_sized_after_turning() -> None:
    data = photograph(quarters(640, 320), 6, "JPEG")
    assert Image.open(io.BytesIO(data)).size == (320, 640)
    assert preprocess.upright(data, 64).size == (64, 32)
