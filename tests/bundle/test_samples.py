"""The pictures that a bundle keeps."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bundle import samples
from bundle.errors import BundleError
from bundle.samples import MAX_BYTES, MAX_PICTURES, UNKNOWN, Samples
from tests.bundle.folders import UNSEALED

SHAPE = UNSEALED.input_shape


def some(count: int, shape: tuple[int, ...] = SHAPE) -> Samples:
    return Samples(np.random.default_rng(0).integers(0, 256, (count, *shape), np.uint8), np.arange(count) % 3)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    given = some(5)
    given.labels[2] = UNKNOWN
    samples.write(tmp_path, given)
    found = samples.read(tmp_path / "samples.npz", UNSEALED)
    np.testing.assert_array_equal(found.pixels, given.pixels)
    np.testing.assert_array_equal(found.labels, given.labels)


def test_a_bundle_keeps_some_of_many_pictures_from_all_over_them(tmp_path: Path) -> None:
    given = Samples(np.zeros((3 * MAX_PICTURES, *SHAPE), np.uint8), np.arange(3 * MAX_PICTURES) % 3 * 0)
    given.pixels[::3] = 1
    samples.write(tmp_path, given)
    found = samples.read(tmp_path / "samples.npz", UNSEALED)
    assert len(found) == MAX_PICTURES
    assert found.pixels.min() == 1


def test_a_bundle_keeps_fewer_of_large_pictures(tmp_path: Path) -> None:
    samples.write(tmp_path, Samples(np.zeros((20, 1024, 1024, 3), np.uint8), np.zeros(20, np.int64)))
    with np.load(tmp_path / "samples.npz") as stored:
        assert stored["pixels"].nbytes <= MAX_BYTES < stored["pixels"].nbytes + 3 * 2**20


BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "another type": ({"pixels": np.zeros((2, *SHAPE), np.float32)}, "pixels is float32"),
    "another size": ({"pixels": np.zeros((2, 5, 5, 3), np.uint8)}, r"uint8 \[2, 5, 5, 3\]"),
    "labels as words": ({"labels": np.array(["cat", "dog"])}, "one integer for each of 2 pictures"),
    "a label too few": ({"labels": np.array([1])}, "one integer for each of 2 pictures"),
    "a class that the model lacks": ({"labels": np.array([0, 3])}, "class numbers 0 to 2"),
    "a negative class": ({"labels": np.array([0, -2])}, "class numbers 0 to 2"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_pictures_that_are_not_the_models_are_refused(tmp_path: Path, case: str) -> None:
    changed, reason = BROKEN[case]
    stored: dict[str, Any] = {"pixels": some(2).pixels, "labels": some(2).labels} | changed
    np.savez(tmp_path / "given.npz", **stored)
    with pytest.raises(BundleError, match=reason):
        samples.read(tmp_path / "given.npz", UNSEALED)


def test_a_file_without_labels_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "given.npz", pixels=some(2).pixels)
    with pytest.raises(BundleError, match="labels"):
        samples.read(tmp_path / "given.npz", UNSEALED)
