"""Models that take no images, by the command line."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from typer.testing import Result

from bundle import files, golden
from bundle.manifest import TensorManifest
from tests.exporter.from_onnx.models import model, run

DENSE = "s = Add(f, b) y = Softmax(s)"
TAKES = "float[N,3] f"


def export(folder: Path, made: onnx.ModelProto, *options: str) -> Result:
    onnx.save(made, folder / "model.onnx")
    return run("tensor", str(folder / "model.onnx"), "--out", str(folder / "m" / "1"), *options)


def exported(folder: Path, made: onnx.ModelProto, *options: str) -> TensorManifest:
    answer = export(folder, made, *options)
    assert answer.exit_code == 0, answer.output
    manifest = files.verify(folder / "m" / "1")
    assert isinstance(manifest, TensorManifest)
    return manifest


def test_inputs_and_outputs_keep_their_names_types_and_sizes(tmp_path: Path) -> None:
    manifest = exported(tmp_path, model(DENSE, TAKES))
    assert [(each.name, each.dtype, each.shape) for each in manifest.inputs] == [("f", "float32", [-1, 3])]
    assert [(each.name, each.dtype, each.shape) for each in manifest.outputs] == [("y", "float32", [-1, 3])]


def test_the_golden_rows_are_what_the_file_answers(tmp_path: Path) -> None:
    rows = np.random.default_rng(1).normal(size=(5, 3)).astype(np.float32)
    np.savez(tmp_path / "rows.npz", f=rows)
    manifest = exported(tmp_path, model("y = Softmax(f)", TAKES), "--samples", str(tmp_path / "rows.npz"))
    stored = golden.read_tensors(tmp_path / "m" / "1", manifest)
    np.testing.assert_array_equal(stored.inputs["f"], rows)
    powers = np.exp(rows)
    np.testing.assert_allclose(
        stored.outputs["y"].astype(np.float64), powers / powers.sum(axis=1, keepdims=True), rtol=1e-6
    )


def test_a_size_that_varies_needs_samples(tmp_path: Path) -> None:
    made = model(
        "axes = Constant<value_ints = [1]>() y = ReduceSum<keepdims = 1>(f, axes)", "float[N,T] f", "float[N,1] y"
    )
    answer = export(tmp_path, made)
    assert answer.exit_code == 1
    assert "--samples" in answer.stderr
    np.savez(tmp_path / "rows.npz", f=np.ones((4, 7), np.float32))
    assert exported(tmp_path, made, "--samples", str(tmp_path / "rows.npz")).inputs[0].shape == [-1, -1]


REFUSED = {
    "rows that see each other": (
        "axes = Constant<value_ints = [0]>() m = ReduceMean(f, axes) y = Sub(f, m)", TAKES, "rows alone and in a batch",
    ),
    "a fixed batch": ("y = Softmax(f)", "float[2,3] f", "dynamic batch axis"),
    "text": ("y = Identity(f)", "string[N,3] f", "tensor(string), which cannot be served"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_batched_is_refused_with_its_reason(tmp_path: Path, case: str) -> None:
    body, takes, reason = REFUSED[case]
    gives = takes.replace(" f", " y")
    answer = export(tmp_path, model(body, takes, gives))
    assert answer.exit_code == 1
    assert reason in answer.stderr
    assert not (tmp_path / "m" / "1").exists()


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ({"f": np.ones((4, 3))}, "f is float64 [4, 3], the model takes float32 [-1, 3]"),
        ({"f": np.ones((0, 3), np.float32)}, "at least one"),
        ({"g": np.ones((4, 3), np.float32)}, "cannot be read"),
    ],
)
def test_samples_that_do_not_fit_are_refused(tmp_path: Path, rows: dict[str, NDArray[np.generic]], reason: str) -> None:
    np.savez(tmp_path / "rows.npz", allow_pickle=False, **rows)
    answer = export(tmp_path, model(DENSE, TAKES), "--samples", str(tmp_path / "rows.npz"))
    assert answer.exit_code == 1
    assert reason in answer.stderr
