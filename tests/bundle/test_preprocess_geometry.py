"""Where the model looks: stretch, cover and contain, and the `View` that maps heatmaps back onto the picture."""

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_sample_image

from bundle import preprocess
from bundle.preprocess import PreprocessSpec
from tests.bundle.pictures import encode, noise, quarters, spec

SIZES = [(40, 30), (30, 40), (64, 64), (101, 37), (3, 200), (1, 1)]


def photograph(name: str, width: int, height: int) -> bytes:
    picture = Image.fromarray(load_sample_image(name)).resize((width, height), Image.Resampling.LANCZOS)
    return encode(picture, "JPEG", quality=90)


def decoded_in_full(data: bytes, chosen: PreprocessSpec) -> NDArray[np.int64]:
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        return preprocess.from_image(image, chosen).pixels.astype(np.int64)


@pytest.mark.parametrize("size", SIZES)
def test_stretch_sees_the_whole_picture(size: tuple[int, int]) -> None:
    view = preprocess.from_image(Image.new("RGB", size), spec(width=20, height=10)).view
    assert view.picture == size
    assert view.box == (0, 0, *size)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("crop", [1.0, 0.875, 0.5])
def test_cover_sees_a_centred_part_of_the_inputs_aspect_ratio(size: tuple[int, int], crop: float) -> None:
    view = preprocess.from_image(Image.new("RGB", size), spec(width=20, height=10, fit="cover", crop=crop)).view
    left, top, right, bottom = view.box
    assert (left + right, top + bottom) == pytest.approx(size)
    assert (right - left) / (bottom - top) == pytest.approx(2)
    assert max((right - left) / size[0], (bottom - top) / size[1]) == pytest.approx(crop)


@pytest.mark.parametrize("size", SIZES)
def test_contain_sees_the_whole_picture_within_bars_of_the_background(size: tuple[int, int]) -> None:
    grey = (90, 90, 90)
    chosen = spec(width=20, height=10, fit="contain", background=(200, 0, 0))
    sample = preprocess.from_image(Image.new("RGB", size, grey), chosen)
    left, top, right, bottom = sample.view.box
    assert left <= 0 <= size[0] <= right
    assert top <= 0 <= size[1] <= bottom
    inside = (sample.pixels == grey).all(-1)
    assert ((sample.pixels == (200, 0, 0)).all(-1) | inside).all()
    share = (size[0] / (right - left)) * (size[1] / (bottom - top))
    assert inside.mean() == pytest.approx(share)


def test_the_pixels_of_cover_are_the_pixels_of_its_view() -> None:
    picture = Image.fromarray(noise(64, 32))
    sample = preprocess.from_image(picture, spec(fit="cover", width=16, height=16, resampling="nearest"))
    assert sample.view.box == (16.0, 0.0, 48.0, 32.0)
    np.testing.assert_array_equal(sample.pixels, np.asarray(picture)[1::2, 17:48:2])


def test_contain_puts_the_picture_where_its_view_says() -> None:
    sample = preprocess.from_image(quarters(8, 4), spec(fit="contain"))
    assert sample.view.box == (0.0, -2.0, 8.0, 6.0)
    np.testing.assert_array_equal(sample.pixels[2:6], np.asarray(quarters(8, 4)))


def test_contain_in_grey_has_bars_of_the_backgrounds_brightness() -> None:
    chosen = spec(fit="contain", colour="grey", background=(255, 255, 255))
    assert (preprocess.from_image(Image.new("RGB", (8, 4)), chosen).pixels[:2] == 255).all()


@pytest.mark.parametrize("fit", ["stretch", "cover", "contain"])
@pytest.mark.parametrize("resampling", ["nearest", "box", "bilinear", "bicubic", "lanczos"])
def test_a_picture_that_fits_already_is_left_as_it_is(fit: str, resampling: str) -> None:
    pixels = noise(24, 16)
    chosen = spec(width=24, height=16, fit=fit, resampling=resampling)
    np.testing.assert_array_equal(preprocess.from_image(Image.fromarray(pixels), chosen).pixels, pixels)
    np.testing.assert_array_equal(preprocess.from_bytes(encode(Image.fromarray(pixels), "PNG"), chosen).pixels, pixels)


@pytest.mark.parametrize("name", ["china.jpg", "flower.jpg"])
@pytest.mark.parametrize("fit", ["stretch", "cover", "contain"])
@pytest.mark.parametrize("size", [(1280, 856), (1203, 915)])
def test_a_large_jpeg_decoded_small_is_close_to_the_same_decoded_in_full(
    name: str, fit: str, size: tuple[int, int]
) -> None:
    data = photograph(name, *size)
    for resampling in ("bilinear", "bicubic"):
        chosen = spec(width=160, height=160, fit=fit, crop=0.875, resampling=resampling)
        sample = preprocess.from_bytes(data, chosen)
        difference = np.abs(sample.pixels.astype(int) - decoded_in_full(data, chosen))
        assert 0 < difference.mean() < 0.5  # not 0: the shortcut was taken
        assert sample.view.picture == size


def test_a_small_crop_of_a_large_jpeg_keeps_its_sharpness() -> None:
    data = photograph("china.jpg", 2048, 1365)
    chosen = spec(width=64, height=64, fit="cover", crop=0.1)
    difference = np.abs(preprocess.from_bytes(data, chosen).pixels.astype(int) - decoded_in_full(data, chosen))
    assert difference.mean() < 0.5


def test_a_jpeg_below_twice_the_inputs_size_in_any_direction_is_decoded_in_full() -> None:
    chosen = spec(width=64, height=64)
    for width, height in ((255, 2000), (2000, 255), (255, 255), (40, 40)):
        data = photograph("flower.jpg", width, height)
        np.testing.assert_array_equal(preprocess.from_bytes(data, chosen).pixels, decoded_in_full(data, chosen))


def test_the_same_bytes_always_give_the_same_pixels() -> None:
    data = photograph("flower.jpg", 900, 600)
    first = preprocess.from_bytes(data, spec(width=50, height=40, fit="cover", crop=0.9))
    again = preprocess.from_bytes(data, spec(width=50, height=40, fit="cover", crop=0.9))
    np.testing.assert_array_equal(first.pixels, again.pixels)
    assert first.view == again.view
