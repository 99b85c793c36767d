"""The run folder is read as strictly as a bundle."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bundle import run, strict
from bundle.errors import BundleError
from bundle.run import RUN, SAMPLES, Dataset, Metrics, Run
from tests.bundle.pictures import PLAIN

SOME_RUN = Run(
    schema="seethrough.run/1",
    name="animals",
    recipe="animals",
    settings={"epochs": 3, "network": {"dense": [64]}},
    kind="multiclass",
    labels=["cat", "dog"],
    preprocess=PLAIN,
    dataset=Dataset(name="animals", fingerprint="0" * 64, class_counts={"train": {"cat": 1, "dog": 2}}),
    parameters=100,
    seed=1,
    epochs=3,
    best_epoch=2,
    interrupted=False,
    metrics={"test": Metrics(loss=0.5, accuracy=0.9)},
    started="2026-01-01T00:00:00Z",
    seconds=1.5,
    command="python -m training run animals",
    libraries={"keras": "3"},
)


def test_a_run_that_was_written_is_read_back_equal(tmp_path: Path) -> None:
    strict.write(tmp_path / RUN, SOME_RUN)
    assert run.read(tmp_path) == SOME_RUN


@pytest.mark.parametrize("key", Run.__struct_fields__)
def test_a_missing_key_of_a_run_is_named(tmp_path: Path, key: str) -> None:
    strict.write(tmp_path / RUN, SOME_RUN)
    document: dict[str, Any] = json.loads((tmp_path / RUN).read_bytes())
    del document[key]
    (tmp_path / RUN).write_text(json.dumps(document))
    with pytest.raises(BundleError, match=f"missing required field `{key}`"):
        run.read(tmp_path)


def test_a_folder_without_a_run_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"run\.json: cannot be read: No such file"):
        run.read(tmp_path)


def test_samples_are_read_with_their_labels(tmp_path: Path) -> None:
    pixels, labels = np.zeros((2, 8, 8, 3), np.uint8), np.arange(2)
    np.savez(tmp_path / SAMPLES, pixels=pixels, labels=labels)
    got_pixels, got_labels = run.read_samples(tmp_path)
    np.testing.assert_array_equal(got_pixels, pixels)
    np.testing.assert_array_equal(got_labels, labels)


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04"])
def test_damaged_samples_are_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / SAMPLES).write_bytes(content)
    with pytest.raises(BundleError, match=r"samples\.npz: cannot be read"):
        run.read_samples(tmp_path)
