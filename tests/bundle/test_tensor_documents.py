"""Manifests and runs of the kind `tensor` are read as strictly as those of classifiers."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from bundle import run, strict
from bundle.errors import BundleError
from bundle.manifest import Provenance, Tensor, TensorManifest, TensorPrecision
from bundle.run import RUN, SAMPLES, Rows, TensorRun
from tests.bundle.pictures import PLAIN

PICTURES = Tensor(name="pixels", dtype="uint8", shape=[-1, *PLAIN.shape])
SCORES = Tensor(name="scores", dtype="float32", shape=[-1, 2])
MANIFEST = TensorManifest(
    schema="seethrough.bundle/1",
    kind="tensor",
    labels=["no", "yes"],
    preprocess=PLAIN,
    inputs=[PICTURES],
    outputs=[SCORES],
    precisions=[TensorPrecision(name="fp32", engine="any", file="model.onnx", samples=1, max_difference=0.0)],
    tolerance=0.001,
    provenance=Provenance(source="tests", details={}, created="2026-01-01T00:00:00Z", libraries={}),
    files={"model.onnx": ""},
)
SOME_RUN = TensorRun(
    schema="seethrough.run/1",
    name="noise",
    recipe="noise",
    settings={},
    kind="tensor",
    labels=[],
    preprocess=PLAIN,
    dataset=Rows(name="noise", fingerprint="0" * 64, counts={"train": 2}),
    parameters=1,
    seed=1,
    epochs=1,
    best_epoch=1,
    interrupted=False,
    metrics={"test": {"loss": 0.5}},
    started="2026-01-01T00:00:00Z",
    seconds=1.0,
    command="python -m training run noise",
    libraries={},
)


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("labels", ["one"], "none of `outputs` has a number for each of the 1 `labels`"),
        ("inputs", [SCORES], "`preprocess` makes pictures that are not the one of `inputs`"),
        ("inputs", [PICTURES, SCORES], "`preprocess` makes pictures that are not the one of `inputs`"),
    ],
)
def test_labels_and_pictures_must_fit_the_tensors(key: str, value: object, reason: str) -> None:
    document = msgspec.to_builtins(MANIFEST) | {key: msgspec.to_builtins(value)}
    with pytest.raises(msgspec.ValidationError, match=reason):
        msgspec.convert(document, TensorManifest)


def test_a_tensor_run_is_read_back_equal_and_told_from_a_classifiers(tmp_path: Path) -> None:
    strict.write(tmp_path / RUN, SOME_RUN)
    assert run.is_tensor(tmp_path)
    assert run.read_tensors(tmp_path) == SOME_RUN
    with pytest.raises(BundleError, match="tensor"):
        run.read(tmp_path)


def test_held_out_rows_are_read_with_what_should_come_out(tmp_path: Path) -> None:
    inputs, targets = np.ones((2, 3), np.float32), np.arange(2)
    np.savez(tmp_path / SAMPLES, inputs=inputs, targets=targets)
    for found, expected in zip(run.read_rows(tmp_path), (inputs, targets), strict=True):
        np.testing.assert_array_equal(found, expected)
    np.savez(tmp_path / SAMPLES, inputs=inputs)
    with pytest.raises(BundleError, match="targets"):
        run.read_rows(tmp_path)
