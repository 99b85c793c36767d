"""Keras models that classify no pictures, from a run folder to a sealed bundle, by the command line."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import openvino
import pytest
from keras import layers
from numpy.typing import NDArray
from typer.testing import CliRunner, Result

from bundle import files, golden, run, strict
from bundle.manifest import TensorManifest
from bundle.preprocess import PreprocessSpec
from bundle.run import Rows, TensorRun
from exporter.__main__ import app
from exporter.report import Report

LENGTH = 7
SPEC = PreprocessSpec(
    height=10, width=12, colour="rgb", fit="stretch", crop=1.0, resampling="bilinear", background=(0, 0, 0)
)


def text_model(recurrent: keras.Layer, *, mask: bool = False, length: int | None = LENGTH) -> keras.Model:
    """text u8 [N, length] -> probabilities f32 [N, 2]."""
    text = keras.Input((length,), dtype="uint8", name="text")
    tensor = recurrent(layers.Embedding(256, 6, mask_zero=mask)(text))
    return keras.Model(text, layers.Dense(2, activation="softmax", name="probabilities")(tensor))


def picture_model() -> keras.Model:
    """pixels u8 [N, 10, 12, 3] -> picture f32 of the same shape."""
    pixels = keras.Input(SPEC.shape, dtype="uint8", name="pixels")
    tensor = layers.MaxPooling2D(2)(layers.Conv2D(4, 3, padding="same")(layers.Rescaling(1 / 255)(pixels)))
    return keras.Model(pixels, layers.Conv2D(3, 3, padding="same", name="picture")(layers.UpSampling2D(2)(tensor)))


def make_run(
    folder: Path,
    model: keras.Model,
    inputs: NDArray[Any],
    labels: list[str] | None = None,
    preprocess: PreprocessSpec | None = None,
) -> Path:
    """Writes the run folder of an untrained model."""
    folder.mkdir()
    model.save(folder / run.KERAS_MODEL)
    np.savez(folder / run.SAMPLES, inputs=inputs, targets=np.zeros(len(inputs), np.int64))
    document = TensorRun(
        schema="seethrough.run/1",
        name=folder.name,
        recipe="random",
        settings={},
        kind="tensor",
        labels=labels or [],
        preprocess=preprocess,
        dataset=Rows(name="noise", fingerprint="0" * 64, counts={}),
        parameters=model.count_params(),
        seed=0,
        epochs=1,
        best_epoch=1,
        interrupted=False,
        metrics={},
        started="2026-01-01T00:00:00Z",
        seconds=1.0,
        command="python -m training run random",
        libraries={},
    )
    strict.write(folder / run.RUN, document)
    return folder


def texts(rows: int = 9, length: int = LENGTH) -> NDArray[np.uint8]:
    written = np.random.default_rng(0).integers(1, 256, (rows, length), np.uint8)
    written[::2, :3] = 0  # shorter ones
    return written


def export(folder: Path, out: Path, *options: str) -> Result:
    return CliRunner().invoke(app, ["keras", str(folder), "--out", str(out), *options])


def exported(folder: Path, out: Path) -> TensorManifest:
    answer = export(folder, out)
    assert answer.exit_code == 0, answer.output
    manifest = files.verify(out)
    assert isinstance(manifest, TensorManifest)
    return manifest


def golden_rows(folder: Path, manifest: TensorManifest) -> tuple[NDArray[Any], NDArray[Any]]:
    """The texts and their probabilities."""
    answers = golden.read_tensors(folder, manifest)
    return answers.inputs["text"], answers.outputs["probabilities"]


CELLS = {
    "SimpleRNN": lambda: layers.SimpleRNN(5),
    "LSTM": lambda: layers.LSTM(5),
    "GRU": lambda: layers.GRU(5),
    "two ways": lambda: layers.Bidirectional(layers.GRU(4)),
}


@pytest.mark.parametrize("cell", CELLS)
def test_recurrent_networks_are_answered_alike_by_keras_onnx_runtime_and_openvino(cell: str, tmp_path: Path) -> None:
    keras.utils.set_random_seed(1)
    model = text_model(CELLS[cell](), mask=cell == "two ways")
    manifest = exported(make_run(tmp_path / "run", model, texts(), ["no", "yes"]), tmp_path / "1")

    assert (manifest.labels, manifest.precisions[0].engine) == (["no", "yes"], "any")
    report = strict.read(tmp_path / "1" / "report.json", Report)
    assert [check.name for check in report.checks] == [
        "Keras: probabilities", "probabilities: rows alone and in a batch",
    ]  # fmt: skip
    given, expected = golden_rows(tmp_path / "1", manifest)
    compiled = openvino.Core().compile_model(tmp_path / "1" / "model.onnx", "CPU")
    for rows in (slice(0, 8), slice(3, 4)):
        found = compiled({"text": given[rows]})["probabilities"]
        np.testing.assert_allclose(found, expected[rows], atol=1e-5)


def test_the_golden_answers_are_those_that_keras_gave(tmp_path: Path) -> None:
    keras.utils.set_random_seed(1)
    model = text_model(layers.LSTM(5))
    manifest = exported(make_run(tmp_path / "run", model, texts()), tmp_path / "1")
    given, expected = golden_rows(tmp_path / "1", manifest)
    np.testing.assert_array_equal(given, texts()[:8])
    np.testing.assert_allclose(expected, model.predict(texts(), verbose=0)[:8], atol=1e-6)


def test_a_recurrent_network_of_any_length_stays_a_loop_and_is_for_onnx_runtime_alone(tmp_path: Path) -> None:
    model = text_model(layers.SimpleRNN(3), length=None)
    manifest = exported(make_run(tmp_path / "run", model, texts()), tmp_path / "1")
    assert (manifest.inputs[0].shape, manifest.precisions[0].engine) == ([-1, -1], "onnxruntime")


def test_how_a_picture_becomes_the_input_travels_with_the_bundle(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, *SPEC.shape), np.uint8)
    folder = make_run(tmp_path / "run", picture_model(), pixels, preprocess=SPEC)
    manifest = exported(folder, tmp_path / "1")
    assert manifest.preprocess == SPEC
    assert [(each.name, each.dtype, each.shape) for each in (*manifest.inputs, *manifest.outputs)] == [
        ("pixels", "uint8", [-1, 10, 12, 3]), ("picture", "float32", [-1, 10, 12, 3]),
    ]  # fmt: skip


def test_a_model_that_answers_otherwise_as_onnx_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The conversion is spoilt for real: the answer is negated on its way to ONNX."""
    from exporter.from_keras import tensors

    honest = tensors.converted

    def spoilt(network: keras.Model) -> onnx.ModelProto:
        graph = honest(network)
        graph.graph.node[-1].output[0] = "right"
        graph.graph.node.append(onnx.helper.make_node("Neg", ["right"], ["probabilities"]))
        return graph

    monkeypatch.setattr(tensors, "converted", spoilt)
    answer = export(make_run(tmp_path / "run", text_model(layers.LSTM(3)), texts()), tmp_path / "1")
    assert answer.exit_code == 1
    assert "1 of 2 checks failed" in answer.stderr
    assert "Keras: probabilities" in answer.stderr
    assert not (tmp_path / "1").exists()


def test_nothing_explains_a_model_that_classifies_no_pictures(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", text_model(layers.LSTM(3)), texts())
    answer = export(folder, tmp_path / "1", "--layer", "lstm")
    assert answer.exit_code == 2
    assert "classifies no pictures" in answer.stderr


@pytest.mark.parametrize("inputs", [texts(length=4), texts(0), texts().astype(np.int32)])
def test_held_out_rows_that_do_not_fit_the_model_are_refused(inputs: NDArray[Any], tmp_path: Path) -> None:
    answer = export(make_run(tmp_path / "run", text_model(layers.LSTM(3)), inputs), tmp_path / "1")
    assert answer.exit_code == 1
    assert "the model takes uint8 [None, 7]" in answer.stderr
