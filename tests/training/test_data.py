"""The data sets: their sizes, their order, and that a picture sent as a file gives the pixels trained on."""

import io

import numpy as np
import pytest

from bundle import preprocess
from bundle.preprocess import PreprocessSpec
from training.data import Data, fashion
from training.data.dataset import ArrayPictures, Dataset, balanced, fingerprint, pixels_of
from training.errors import RecipeError
from training.recipe import of_pictures

needs_fashion = pytest.mark.skipif(
    not fashion.DEBIAN_FOLDER.is_dir(), reason=f"install the Debian package {fashion.DEBIAN_PACKAGE}"
)


def load(name: str) -> tuple[Dataset, PreprocessSpec]:
    chosen = of_pictures(name, [])
    return chosen.data.load(), chosen.preprocess


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("digits", (1257, 180, 360)),
        pytest.param("fashion", (55_000, 5_000, 10_000), marks=needs_fashion),
        ("sprites", (4000, 500, 757)),
    ],
)
def test_the_splits_have_their_sizes_and_every_class(name: str, sizes: tuple[int, ...]) -> None:
    dataset, _ = load(name)
    assert tuple(len(split.labels) for split in dataset.splits.values()) == sizes
    for split in dataset.splits.values():
        assert len(split.pictures) == len(split.labels)
        np.testing.assert_array_equal(np.unique(split.labels), np.arange(len(dataset.labels)))


@needs_fashion
def test_every_class_of_fashion_has_its_share_of_the_validation_split() -> None:
    dataset, _ = load("fashion")
    np.testing.assert_array_equal(np.bincount(dataset.splits["validation"].labels), 500)


@pytest.mark.parametrize("name", ["digits", pytest.param("fashion", marks=needs_fashion), "sprites"])
def test_a_picture_sent_as_a_png_file_gives_the_pixels_trained_on(name: str) -> None:
    dataset, spec = load(name)
    pictures = dataset.splits["test"].pictures
    trained = pixels_of(
        ArrayPictures(np.stack([np.asarray(pictures[index]) for index in range(8)])), spec, lambda: None
    )
    for index in range(8):
        file = io.BytesIO()
        pictures[index].save(file, "PNG")
        np.testing.assert_array_equal(preprocess.from_bytes(file.getvalue(), spec).pixels, trained[index])


@needs_fashion
def test_fashion_pictures_reach_the_model_as_they_were_published() -> None:
    dataset, spec = load("fashion")
    _, published = fashion.parts()
    pixels = pixels_of(dataset.splits["test"].pictures, spec, lambda: None)
    np.testing.assert_array_equal(pixels[..., 0], published.pictures)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("digits", "data.test=1700"),
        ("sprites", "data.train=5000"),
        pytest.param("fashion", "data.validation=60000", marks=needs_fashion),
    ],
)
def test_splits_that_leave_nothing_over_are_refused(name: str, change: str) -> None:
    data: Data = of_pictures(name, [change]).data
    with pytest.raises(RecipeError, match="nothing to"):
        data.load()


def test_the_fingerprint_depends_on_every_pixel_label_and_their_order() -> None:
    pixels, labels = np.arange(12, dtype=np.uint8).reshape(3, 2, 2, 1), np.array([0, 1, 0])
    original = fingerprint([(pixels, labels)])
    other_pixels, other_labels = pixels.copy(), labels.copy()
    other_pixels[2, 1, 1, 0] += 1
    other_labels[2] = 1
    assert fingerprint([(pixels.copy(), labels.copy())]) == original
    others = [
        fingerprint([(other_pixels, labels)]),
        fingerprint([(pixels, other_labels)]),
        fingerprint([(pixels[::-1], labels)]),
    ]
    assert len({original, *others}) == 4


def test_a_sample_takes_the_classes_in_turns_and_is_the_same_every_time() -> None:
    labels = np.array([0] * 50 + [1] * 50 + [2] * 3)
    chosen = balanced(labels, 20, seed=0)
    np.testing.assert_array_equal(np.bincount(labels[chosen]), [9, 8, 3])
    np.testing.assert_array_equal(chosen, balanced(labels, 20, seed=0))
    assert (chosen != balanced(labels, 20, seed=1)).any()
    np.testing.assert_array_equal(balanced(labels, 1000, seed=0), np.arange(len(labels)))
