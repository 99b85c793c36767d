"""The whole exporter, from a run folder to a sealed bundle, by its command line."""

import re
from pathlib import Path

import msgspec
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import numpy_helper
from typer.testing import CliRunner, Result

from bundle import files, golden, run, samples, strict
from bundle.run import Run
from exporter.__main__ import app
from exporter.from_keras import convert
from exporter.report import Report
from tests.exporter.from_keras import networks
from tests.exporter.from_keras.runs import SAMPLES, make_run

LABELS = ["circle", "square", "star"]


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "tiny", networks.tiny(), LABELS)


@pytest.fixture(scope="module")
def exported(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("models") / "tiny" / "1"
    answer = export(run_folder, out)
    assert answer.exit_code == 0, answer.output
    return out


def export(run_folder: Path, out: Path, *options: str) -> Result:
    return CliRunner().invoke(app, ["keras", str(run_folder), "--out", str(out), *options])


def methods(*names: str) -> list[str]:
    return [part for name in names for part in ("--method", name)]


def test_an_exported_bundle_is_whole_and_says_where_it_comes_from(exported: Path) -> None:
    manifest = files.verify_classifier(exported)

    assert (manifest.kind, manifest.labels) == ("multiclass", LABELS)
    assert (manifest.feature_map.layer, manifest.feature_map.height, manifest.feature_map.channels) == ("last", 4, 4)
    assert (manifest.precisions[0].samples, manifest.precisions[0].top1_agreement) == (SAMPLES, 1.0)
    assert manifest.provenance.source == "Keras run tiny"
    assert manifest.provenance.details["dataset"] == "noise"
    assert {"keras", "tf2onnx", "onnx", "onnxruntime"} <= set(manifest.provenance.libraries)
    assert {"model.onnx", "predict.onnx", "weights.bin", "saved_model/saved_model.pb"} <= set(manifest.files)


def test_the_onnx_file_gives_the_golden_answers(exported: Path) -> None:
    manifest = files.verify_classifier(exported)
    answers = golden.read(exported, manifest)
    session = ort.InferenceSession(exported / "model.onnx", providers=["CPUExecutionProvider"])

    found = session.run(["probabilities", "heatmaps"], {"pixels": answers.pixels, "targets": answers.targets})

    assert len(answers.pixels) == 8
    assert max(golden.difference(answers, *found)) < 1e-5


def test_the_bundle_keeps_the_held_out_pictures_with_their_labels(run_folder: Path, exported: Path) -> None:
    kept = samples.read(exported / "samples.npz", files.verify_classifier(exported))
    pixels, labels = run.read_samples(run_folder)
    np.testing.assert_array_equal(kept.pixels, pixels)
    np.testing.assert_array_equal(kept.labels, labels)


def test_the_saved_model_gives_the_golden_answers(exported: Path) -> None:
    import tensorflow as tf

    answers = golden.read(exported, files.verify_classifier(exported))
    signature = tf.saved_model.load(str(exported / "saved_model")).signatures["serving_default"]

    found = signature(pixels=tf.constant(answers.pixels), targets=tf.constant(answers.targets))

    assert max(golden.difference(answers, found["probabilities"].numpy(), found["heatmaps"].numpy())) < 1e-5


def test_the_report_lists_every_check_with_its_figure_and_limit(exported: Path) -> None:
    report = strict.read(exported / "report.json", Report)

    names = [check.name for check in report.checks]
    assert report.samples == SAMPLES
    assert all(check.passed for check in report.checks)
    for form in ("SavedModel", "ONNX Runtime"):
        for asked in ("top class", "second class", "top ranks in one call", "explicit classes in one call"):
            assert f"{form}: gradcam heatmaps, {asked}" in names
    assert {"ONNX signature", "SavedModel signature", "Keras: probabilities", "predict: probabilities"} <= set(names)


def test_no_file_of_a_bundle_knows_the_machine_it_was_made_on(exported: Path, run_folder: Path) -> None:
    places = [str(place).encode() for place in (Path.cwd(), run_folder.parent, exported.parent)]

    for path in exported.rglob("*"):
        if path.is_file():
            assert not any(place in path.read_bytes() for place in places), path


def test_a_chosen_layer_is_the_one_explained(run_folder: Path, tmp_path: Path) -> None:
    answer = export(run_folder, tmp_path / "1", "--layer", "pooled", "--samples", "4")

    assert answer.exit_code == 0, answer.output
    manifest = files.verify_classifier(tmp_path / "1")
    assert (manifest.feature_map.layer, manifest.feature_map.height) == ("pooled", 2)
    assert manifest.precisions[0].samples == 4


def test_every_failed_check_is_listed_and_nothing_is_left(
    run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The conversion is spoilt for real: the weights of the head are negated on their way to ONNX."""
    honest = convert.to_onnx

    def spoilt(traced: convert.Traced) -> onnx.ModelProto:
        converted = honest(traced)
        weights = next(tensor for tensor in converted.graph.initializer if list(tensor.dims) == [16, 3])
        weights.CopyFrom(numpy_helper.from_array(-numpy_helper.to_array(weights), weights.name))
        return converted

    monkeypatch.setattr(convert, "to_onnx", spoilt)

    answer = export(run_folder, tmp_path / "spoilt" / "1")

    assert answer.exit_code == 1
    assert re.search(r"Error: \d+ of 29 checks failed, no bundle was written", answer.stderr)
    for name in (
        "ONNX Runtime: probabilities",
        "ONNX Runtime: classes ranked alike, top class",
        "ONNX Runtime: gradcam heatmaps, explicit classes in one call",
        "golden samples: probabilities",
    ):
        assert name in answer.stderr
    assert "SavedModel: probabilities" not in answer.stderr
    assert list((tmp_path / "spoilt").iterdir()) == []


def test_a_layer_that_does_not_exist_is_refused_with_those_that_do(run_folder: Path, tmp_path: Path) -> None:
    answer = export(run_folder, tmp_path / "1", "--layer", "conv9")

    assert answer.exit_code == 1
    assert re.search("--layer conv9: .*choose one of .*first, last", answer.stderr)
    assert list(tmp_path.iterdir()) == []


def test_a_layer_before_an_operator_without_a_rule_is_refused_with_its_name(tmp_path: Path) -> None:
    model = networks.with_sine()

    answer = export(make_run(tmp_path / "run", model, LABELS), tmp_path / "1", "--layer", "last")

    assert answer.exit_code == 1
    assert re.search(r"operator Sin \(node .*--layer", answer.stderr)


def test_a_model_with_a_backbone_inside_becomes_a_bundle_with_every_method(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", networks.transfer(), LABELS)

    answer = export(folder, tmp_path / "1", "--samples", "4", *methods("layercam", "gradcam", "hirescam"))

    assert answer.exit_code == 0, answer.output
    manifest = files.verify_classifier(tmp_path / "1")
    assert manifest.explanations == ["layercam", "gradcam", "hirescam"]
    assert (manifest.feature_map.layer, manifest.feature_map.channels) == ("backbone/out_relu", 1280)
    names = {check.name for check in strict.read(tmp_path / "1" / "report.json", Report).checks}
    assert {f"SavedModel: {method} heatmaps, second class" for method in manifest.explanations} <= names


@pytest.mark.parametrize("version", ["zero", "0", "01", "-1", "1.5", "²"])
def test_a_version_that_is_not_a_positive_integer_is_refused(version: str, run_folder: Path, tmp_path: Path) -> None:
    answer = export(run_folder, tmp_path / version)

    assert answer.exit_code == 2
    assert "positive integer" in answer.stderr


def test_a_version_that_exists_is_never_overwritten(run_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()

    answer = export(run_folder, tmp_path / "1")

    assert answer.exit_code == 2
    assert "exists already" in answer.stderr
    assert list((tmp_path / "1").iterdir()) == []


def test_a_run_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    answer = export(tmp_path / "missing", tmp_path / "1")

    assert answer.exit_code == 2
    assert "does not exist" in answer.stderr


def changed(run_folder: Path, folder: Path, **changes: object) -> Path:
    """A copy of the run in `folder` whose run.json has other values."""
    folder.mkdir()
    for path in run_folder.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    document = msgspec.to_builtins(run.read(run_folder)) | changes
    strict.write(folder / run.RUN, msgspec.convert(document, Run))
    return folder


def test_a_model_that_does_not_fit_its_run_is_refused(run_folder: Path, tmp_path: Path) -> None:
    folder = changed(run_folder, tmp_path / "run", labels=["circle", "square", "star", "moon"])

    answer = export(folder, tmp_path / "1")

    assert answer.exit_code == 1
    assert "is multiclass over 3 classes, run.json says multiclass over 4 labels" in answer.stderr


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        (run.KERAS_MODEL, b"not a model", "cannot be read as a Keras model"),
        (run.SAMPLES, b"not samples", "cannot be read"),
        (run.RUN, b"{}", "missing required field"),
    ],
)
def test_a_damaged_run_folder_is_refused_by_file_and_reason(
    name: str, content: bytes, reason: str, run_folder: Path, tmp_path: Path
) -> None:
    folder = changed(run_folder, tmp_path / "run")
    (folder / name).write_bytes(content)

    answer = export(folder, tmp_path / "1")

    assert answer.exit_code == 1
    assert name in answer.stderr
    assert reason in answer.stderr
    assert not (tmp_path / "1").exists()


def test_samples_of_another_size_are_refused(run_folder: Path, tmp_path: Path) -> None:
    folder = changed(run_folder, tmp_path / "run")
    np.savez(folder / run.SAMPLES, pixels=np.zeros((3, 9, 9, 1), np.uint8), labels=np.zeros(3, np.int64))

    answer = export(folder, tmp_path / "1")

    assert answer.exit_code == 1
    assert "pixels are uint8 [3, 9, 9, 1]" in answer.stderr


def test_labels_that_are_not_one_for_each_sample_are_refused(run_folder: Path, tmp_path: Path) -> None:
    folder = changed(run_folder, tmp_path / "run")
    np.savez(folder / run.SAMPLES, pixels=run.read_samples(run_folder)[0], labels=np.zeros(3, np.int64))
    answer = export(folder, tmp_path / "1")
    assert answer.exit_code == 1
    assert f"labels are int64 [3], not int64 [{SAMPLES}]" in answer.stderr
