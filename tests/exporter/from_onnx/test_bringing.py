"""ONNX classifiers of many makes become bundles that answer as their files do."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import numpy_helper

from bundle import strict
from exporter.gradcam import rules
from exporter.report import Report
from tests.exporter.from_onnx.models import (
    BACKBONE,
    SCORES,
    SOFTMAX,
    bring,
    brought,
    bundle,
    given,
    model,
    pictures,
    predicted,
    refused,
    run,
    write,
)
from tests.exporter.graphs import every_row


@pytest.mark.parametrize("opset", [9, 11, 13, 17, onnx.defs.onnx_opset_version()])
def test_old_and_new_opsets_are_brought_to_one_that_engines_know(opset: int, tmp_path: Path) -> None:
    brought(tmp_path, model(SOFTMAX.replace("Softmax(", "Softmax<axis = 1>("), opset=opset))

    made = onnx.load(bundle(tmp_path) / "predict.onnx", load_external_data=False)
    assert 18 <= made.opset_import[0].version <= 26


def test_a_picture_gets_the_answer_of_the_file(tmp_path: Path) -> None:
    manifest = brought(tmp_path, model(SOFTMAX))

    pixels = pictures(5, 8, 8, 3)
    expected = given(tmp_path, (pixels.transpose(0, 3, 1, 2) / 255).astype(np.float32))
    assert manifest.kind == "multiclass"
    assert manifest.labels == ["class 0", "class 1", "class 2"]
    assert manifest.feature_map.layer == "r"
    np.testing.assert_allclose(predicted(tmp_path, pixels), expected, atol=1e-6)


def test_channels_may_come_last(tmp_path: Path) -> None:
    body = "t = Transpose<perm = [0, 3, 1, 2]>(p) " + SOFTMAX.replace(
        "Conv<pads = [1, 1, 1, 1]>(x", "Conv<pads = [1, 1, 1, 1]>(t"
    )
    brought(tmp_path, model(body, takes="float[N,8,8,3] p"), preprocess="imagenet-torch")

    pixels = pictures(5, 8, 8, 3)
    scaled = (pixels / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    np.testing.assert_allclose(predicted(tmp_path, pixels), given(tmp_path, scaled.astype(np.float32)), atol=1e-6)


def test_grey_pictures(tmp_path: Path) -> None:
    manifest = brought(tmp_path, model(SOFTMAX.replace("k3", "k1"), takes="float[N,1,8,8] x"), preprocess="imagenet-tf")

    pixels = pictures(5, 8, 8, 1)
    expected = given(tmp_path, (pixels.transpose(0, 3, 1, 2) / 127.5 - 1).astype(np.float32))
    assert manifest.preprocess.colour == "grey"
    np.testing.assert_allclose(predicted(tmp_path, pixels), expected, atol=1e-6)


def test_an_open_size_is_fixed_by_choice(tmp_path: Path) -> None:
    manifest = brought(tmp_path, model(SOFTMAX, takes="float[N,3,H,W] x"), "--size", "12x16")

    assert (manifest.preprocess.height, manifest.preprocess.width) == (12, 16)
    assert (manifest.feature_map.height, manifest.feature_map.width) == (12, 16)


def test_shapes_and_paddings_that_the_graph_computes_are_folded(tmp_path: Path) -> None:
    """As PyTorch's older exporter writes a padding and a flatten."""
    body = (
        "half = Constant<value_ints = [0, 0, 1, 1]>() pads = Concat<axis = 0>(half, half) q = Pad(x, pads) "
        "c = Conv(q, k3, b4) r = Relu(c) g = GlobalAveragePool(r) n = Shape<start = 0, end = 1>(g) "
        "rest = Constant<value_ints = [-1]>() s = Concat<axis = 0>(n, rest) f = Reshape(g, s) z = Gemm(f, w, b) y = Softmax(z)"
    )

    manifest = brought(tmp_path, model(body))

    assert (manifest.feature_map.height, manifest.feature_map.layer) == (8, "r")


@pytest.mark.parametrize(("kind", "dtype"), [("float16", np.float16), ("double", np.float64)])
def test_other_floats_become_float32(kind: str, dtype: type, tmp_path: Path) -> None:
    made = model(SOFTMAX, takes=f"{kind}[N,3,8,8] x", gives=f"{kind}[N,3] y")
    for tensor in made.graph.initializer:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(dtype), tensor.name))

    brought(tmp_path, made)
    write(tmp_path, model(SOFTMAX))  # the same weights in float32

    pixels = pictures(5, 8, 8, 3)
    expected = given(tmp_path, (pixels.transpose(0, 3, 1, 2) / 255).astype(np.float32))
    np.testing.assert_allclose(predicted(tmp_path, pixels), expected, atol=1e-2)


def test_a_model_of_bytes_keeps_its_own_arithmetic(tmp_path: Path) -> None:
    made = model("o = Cast<to = 1>(p) x = Transpose<perm = [0, 3, 1, 2]>(o) " + SOFTMAX, takes="uint8[N,8,8,3] p")

    reason = refused(tmp_path, made, preprocess="unit")
    brought(tmp_path, made, preprocess="none")

    pixels = pictures(5, 8, 8, 3)
    assert "the model takes bytes" in reason
    np.testing.assert_allclose(predicted(tmp_path, pixels), given(tmp_path, pixels), atol=1e-6)


def test_bytes_may_come_with_the_channels_first(tmp_path: Path) -> None:
    made = model("x = Cast<to = 1>(p) " + SOFTMAX, takes="uint8[N,3,8,8] p")

    brought(tmp_path, made, preprocess="none")

    pixels = pictures(5, 8, 8, 3)
    expected = given(tmp_path, np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))
    np.testing.assert_allclose(predicted(tmp_path, pixels), expected, atol=1e-6)


def test_names_that_a_bundle_needs_may_be_taken(tmp_path: Path) -> None:
    body = SOFTMAX.replace("r =", "heatmaps =").replace("(r)", "(heatmaps)").replace("f =", "probabilities =")

    brought(
        tmp_path,
        model(body.replace("(f, w", "(probabilities, w").replace("(x,", "(pixels,"), takes="float[N,3,8,8] pixels"),
    )


def test_a_model_without_convolutions_is_refused_with_the_reason(tmp_path: Path) -> None:
    reason = refused(tmp_path, model("f = Flatten(x) z = Gemm(f, w192, b) y = Softmax(z)"))

    assert "there is no layer that could explain the answer" in reason


def test_a_layer_is_chosen_by_its_node_or_its_tensor(tmp_path: Path) -> None:
    made = model(SOFTMAX)
    made.graph.node[0].name = "first"

    by_node = brought(tmp_path, made, "--layer", "first")
    (tmp_path / "other").mkdir()
    by_tensor = brought(tmp_path / "other", made, "--layer", "c")

    assert by_node.feature_map.tensor == by_tensor.feature_map.tensor == "c"


def test_an_unknown_layer_is_refused_with_the_last_ones(tmp_path: Path) -> None:
    reason = refused(tmp_path, model(SOFTMAX), "--layer", "conv9")

    assert "--layer conv9: the model has no node or tensor of this name" in reason
    assert "c, r, g, f, z, y" in reason


def test_an_operator_without_a_rule_behind_the_map_is_refused_by_name(tmp_path: Path) -> None:
    body = BACKBONE + "o = Round(f) z = Gemm(o, w, b) y = Softmax(z)"

    assert "operator Round" in refused(tmp_path, model(body))


def test_several_methods_in_one_graph(tmp_path: Path) -> None:
    manifest = brought(tmp_path, model(SOFTMAX), "--method", "hirescam", "--method", "layercam", "--method", "gradcam")

    assert manifest.explanations == ["hirescam", "layercam", "gradcam"]


def test_the_gradient_is_checked_against_differences(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule that is wrong by a factor cancels in every heatmap; only a difference quotient sees it."""
    honest = rules.RULES["Relu"]
    monkeypatch.setitem(
        rules.RULES, "Relu", lambda op, edge, cotangent: op.Mul(honest(op, edge, cotangent), np.float32(1.1))
    )

    answer = bring(tmp_path, model(BACKBONE + "h = Relu(f) z = Gemm(h, w, b) y = Softmax(z)"))

    assert answer.exit_code == 1
    assert "1 of 19 checks failed" in answer.stderr
    assert "ONNX file: gradient of the score" in answer.stderr


def test_the_report_tells_how_exact_the_gradient_is(tmp_path: Path) -> None:
    body = (
        "c = Conv(x, k3, b4) r = Relu(c) p = MaxPool<kernel_shape = [3, 3], strides = [2, 2]>(r) q = Sigmoid(p) "
        "g = GlobalAveragePool(q) f = Flatten(g) z = Gemm(f, w, b) y = Softmax(z)"
    )
    brought(tmp_path, model(body))

    report = strict.read(bundle(tmp_path) / "report.json", Report)
    check = next(check for check in report.checks if check.name == "ONNX file: gradient of the score")
    assert 0 < check.measured < 1e-4


def test_bundles_explain_the_classes_that_are_asked_for(tmp_path: Path) -> None:
    brought(tmp_path, model(SOFTMAX))
    session = ort.InferenceSession(bundle(tmp_path) / "model.onnx", providers=["CPUExecutionProvider"])

    probabilities, heatmaps = session.run(None, {"pixels": pictures(4, 8, 8, 3), "targets": every_row(4, -1, 0, 1, 2)})

    np.testing.assert_array_equal(heatmaps[:, 0], heatmaps[np.arange(4), 1 + probabilities.argmax(axis=1)])


def test_provenance_names_the_file_but_not_its_place(tmp_path: Path) -> None:
    manifest = brought(tmp_path, model(SOFTMAX))

    assert manifest.provenance.source == "ONNX file model.onnx"
    assert manifest.provenance.details["preprocess"] == "unit"
    assert manifest.provenance.details["pictures"] == "16 generated"
    for path in bundle(tmp_path).iterdir():
        assert str(tmp_path).encode() not in path.read_bytes()


def test_neither_tensorflow_nor_pytorch_is_needed(tmp_path: Path) -> None:
    path = write(tmp_path, model(SCORES))
    program = (
        "import sys; from typer.testing import CliRunner; from exporter.__main__ import app; "
        "answer = CliRunner().invoke(app, sys.argv[1:]); assert answer.exit_code == 0, answer.output; "
        "print([name for name in ('tensorflow', 'keras', 'torch', 'tf2onnx') if name in sys.modules])"
    )

    answer = subprocess.run(
        [
            sys.executable, "-c", program, "onnx", str(path), "--labels", str(tmp_path / "labels.txt"), "--preprocess", "none",
            "--activation", "softmax", "--out", str(bundle(tmp_path)),
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert answer.stdout.strip() == "[]", answer.stderr


def test_layers_are_listed_with_their_size_and_the_default_is_marked(tmp_path: Path) -> None:
    made = model(BACKBONE + "o = Round(f) y = Gemm(o, w, b)")  # neither an activation nor a rule is needed to list
    made.graph.node[0].name = "stem"

    answer = run("layers", str(write(tmp_path, made)))

    assert answer.exit_code == 0, answer.output
    lines = [line.split() for line in answer.stdout.splitlines() if " x " in line][1:]
    assert lines == [["stem", "c", "8", "x", "8", "x", "4"], ["r", "r", "8", "x", "8", "x", "4", "default"]]
