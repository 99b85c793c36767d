"""Golden samples: read exactly as declared, compared without mercy for NaN, never unpickled."""

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from bundle import golden
from bundle.errors import BundleError
from bundle.golden import Golden
from bundle.manifest import GOLDEN
from tests.bundle.folders import UNSEALED, some_golden


def refusal(folder: Path) -> str:
    with pytest.raises(BundleError) as caught:
        golden.read(folder, UNSEALED)
    message = str(caught.value)
    assert message.startswith(f"{folder / GOLDEN}: ")
    return message


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    written = some_golden()
    golden.write(tmp_path, written)
    read = golden.read(tmp_path, UNSEALED)
    for name, array in asdict(written).items():
        np.testing.assert_array_equal(getattr(read, name), array)


@pytest.mark.parametrize("name", Golden.__dataclass_fields__)
def test_a_missing_array_is_named(tmp_path: Path, name: str) -> None:
    arrays = asdict(some_golden())
    del arrays[name]
    np.savez(tmp_path / GOLDEN, **arrays)
    assert name in refusal(tmp_path)


@pytest.mark.parametrize("name", Golden.__dataclass_fields__)
def test_an_array_of_the_wrong_type_is_named(tmp_path: Path, name: str) -> None:
    right = some_golden()
    golden.write(tmp_path, replace(right, **{name: getattr(right, name).astype(np.float64)}))
    assert f"{name} is float64" in refusal(tmp_path)


@pytest.mark.parametrize("name", Golden.__dataclass_fields__)
def test_an_array_of_the_wrong_rank_is_named(tmp_path: Path, name: str) -> None:
    right = some_golden()
    golden.write(tmp_path, replace(right, **{name: getattr(right, name)[0]}))
    assert f": {name} is " in refusal(tmp_path)


@pytest.mark.parametrize("name", ["pixels", "probabilities", "heatmaps"])
def test_an_array_of_the_wrong_shape_is_named_with_both_shapes(tmp_path: Path, name: str) -> None:
    right = some_golden()
    array = getattr(right, name)[..., :-1]
    golden.write(tmp_path, replace(right, **{name: array}))
    message = refusal(tmp_path)
    assert f"{name} is {array.dtype} {list(array.shape)}" in message
    assert "the manifest says" in message


def test_no_samples_at_all_are_refused(tmp_path: Path) -> None:
    golden.write(tmp_path, some_golden(samples=0))
    assert "holds no samples" in refusal(tmp_path)


def test_a_pickle_is_refused_and_not_executed(tmp_path: Path) -> None:
    marker = tmp_path / "executed"

    class Payload:
        def __reduce__(self) -> tuple[object, tuple[Path]]:
            return Path.touch, (marker,)

    np.savez(tmp_path / GOLDEN, **{**asdict(some_golden()), "pixels": np.array([Payload()], object)})
    assert "allow_pickle=False" in refusal(tmp_path)
    assert not marker.exists()


def test_a_file_that_is_no_npz_is_refused(tmp_path: Path) -> None:
    path = tmp_path / GOLDEN
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
    refusal(tmp_path)
    for content in (b"", b"text", b"PK\x03\x04 and then nothing"):
        path.write_bytes(content)
        assert "cannot be read" in refusal(tmp_path)
    path.unlink()
    assert "No such file" in refusal(tmp_path)


def test_random_damage_is_refused_or_harmless_but_never_crashes(tmp_path: Path) -> None:
    golden.write(tmp_path, some_golden())
    path = tmp_path / GOLDEN
    data = path.read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(150):
        broken = bytearray(data)
        broken[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
        path.write_bytes(broken)
        try:
            golden.read(tmp_path, UNSEALED)
        except BundleError:
            refused += 1
    assert refused > 100


def test_equal_answers_differ_by_nothing() -> None:
    stored = some_golden()
    assert golden.difference(stored, stored.probabilities, stored.heatmaps) == (0, 0)


def test_the_largest_difference_of_each_output_is_reported_whatever_its_sign() -> None:
    stored = some_golden()
    probabilities, heatmaps = stored.probabilities.copy(), stored.heatmaps.copy()
    probabilities[1, 2] -= 0.25
    heatmaps[0, 1, 2, 2] += 0.5
    assert golden.difference(stored, probabilities, heatmaps) == pytest.approx((0.25, 0.5))


def test_nan_counts_as_an_infinite_difference() -> None:
    stored = some_golden()
    broken = stored.heatmaps.copy()
    broken[0, 0, 0, 0] = np.nan
    assert golden.difference(stored, stored.probabilities, broken) == (0, np.inf)
