"""Files that are no ONNX classifier, and how each is refused: by one line that says what to do."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.exporter.from_onnx.models import BACKBONE, SOFTMAX, bring, bundle, model, refused, run, write


def spoilt(folder: Path, change: Callable[[Path], object]) -> str:
    """The reason why the file of a good model is refused after `change`."""
    path = write(folder, model(SOFTMAX))
    change(path)
    answer = run(
        "onnx", str(path), "--labels", str(folder / "labels.txt"), "--preprocess", "unit", "--out", str(bundle(folder))
    )
    assert answer.exit_code == 1, answer.output
    assert len(answer.stderr.splitlines()) == 1
    return answer.stderr


def test_a_file_cut_short_is_refused(tmp_path: Path) -> None:
    reason = spoilt(tmp_path, lambda path: path.write_bytes(path.read_bytes()[:100]))

    assert "model.onnx: is not an ONNX file, or only a part of one" in reason


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    reason = spoilt(tmp_path, lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\n"))

    assert "is not an ONNX file" in reason


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    assert "it has no operators of the standard" in spoilt(tmp_path, lambda path: path.write_bytes(b""))


def test_an_invalid_graph_is_refused_with_the_checkers_reason(tmp_path: Path) -> None:
    made = model(SOFTMAX)
    made.graph.node[1].input[0] = "nothing"

    assert "is not valid ONNX" in refused(tmp_path, made)


def test_an_operator_that_nobody_knows_is_refused_by_name(tmp_path: Path) -> None:
    made = model(SOFTMAX.replace("Relu(c)", "acme.Swirl(c)"), domains=', "acme": 1')

    assert "ONNX Runtime cannot run the model: Fatal error: acme:Swirl" in refused(tmp_path, made)


def external(folder: Path) -> Path:
    """A model with its weights in a file beside it."""
    path = write(folder, model(SOFTMAX))
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="model.data", size_threshold=0)
    return path


def test_external_weights_are_read_in(tmp_path: Path) -> None:
    path = external(tmp_path)
    labels = str(tmp_path / "labels.txt")

    answer = run("onnx", str(path), "--labels", labels, "--preprocess", "unit", "--out", str(bundle(tmp_path)))

    assert answer.exit_code == 0, answer.output


@pytest.mark.parametrize("content", [None, b"short"])
def test_external_weights_that_are_missing_or_cut_short_are_refused(content: bytes | None, tmp_path: Path) -> None:
    path = external(tmp_path)
    (tmp_path / "model.data").unlink()
    if content is not None:
        (tmp_path / "model.data").write_bytes(content)

    answer = run("layers", str(path))

    assert answer.exit_code == 1
    assert "its weights lie in another file, which is missing or broken" in answer.stderr
    assert "model.data" in answer.stderr or "length" in answer.stderr


def test_a_model_of_more_than_two_gigabytes_is_refused_before_it_is_read(tmp_path: Path) -> None:
    made = model(SOFTMAX)
    huge = made.graph.initializer.add(name="huge", data_type=TensorProto.FLOAT, dims=[1 << 20, 1 << 10])
    huge.data_location = TensorProto.EXTERNAL
    huge.external_data.add(key="location", value="model.data")

    assert "is 4.3 GB with its weights; more than 2.1 GB cannot be handled" in refused(tmp_path, made)


def test_two_inputs_are_refused_by_name(tmp_path: Path) -> None:
    made = model(SOFTMAX.replace("Relu(c)", "Add(c, mask)"), takes="float[N,3,8,8] x, float[N,1,1,1] mask")

    assert "has 2 inputs (x [N, 3, 8, 8], mask [N, 1, 1, 1])" in refused(tmp_path, made)


def test_weights_listed_among_the_inputs_are_none(tmp_path: Path) -> None:
    made = model(SOFTMAX)
    made.ir_version = 3
    for tensor in made.graph.initializer:
        made.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))

    answer = bring(tmp_path, made)

    assert answer.exit_code == 0, answer.output


def test_an_object_detector_is_refused_with_its_outputs(tmp_path: Path) -> None:
    made = model(BACKBONE + "boxes = Gemm(f, w, b) y = Softmax(boxes)", gives="float[N,3] boxes, float[N,3] y")

    assert "has 2 outputs" in (reason := refused(tmp_path, made))
    assert "--output: boxes [N, 3], y [N, 3]" in reason


def test_the_output_with_the_classes_can_be_named(tmp_path: Path) -> None:
    made = model(BACKBONE + "boxes = Gemm(f, w, b) y = Softmax(boxes)", gives="float[N,3] boxes, float[N,3] y")

    unknown = refused(tmp_path, made, "--output", "classes")
    named = bring(tmp_path, made, "--output", "y")

    assert "has no output 'classes'" in unknown
    assert named.exit_code == 0, named.output


def test_a_detector_with_one_output_is_refused(tmp_path: Path) -> None:
    made = model("y = Conv<pads = [1, 1, 1, 1]>(x, k3, b4)", gives="float[N,4,8,8] y")

    assert "output 'y' has [4, 8, 8] numbers for each picture" in refused(tmp_path, made)


@pytest.mark.parametrize(
    ("takes", "told"),
    [("float[N,16] x", "is float [N, 16], which is no picture"), ("int64[N,3,8,8] x", "is int64 [N, 3, 8, 8]")],
)
def test_an_input_that_is_no_picture_is_refused(takes: str, told: str, tmp_path: Path) -> None:
    made = model("f = Cast<to = 1>(x) h = Flatten(f) y = Softmax(h)", takes=takes, gives="float[N,K] y")

    assert told in refused(tmp_path, made)


def test_a_layout_that_the_sizes_do_not_tell_is_asked_for(tmp_path: Path) -> None:
    made = model(SOFTMAX, takes="float[N,3,8,3] x")

    assert "axes 1 and 3 could both be the channels (1 or 3); say which with --layout" in refused(tmp_path, made)


def test_channels_that_no_picture_has_are_refused(tmp_path: Path) -> None:
    made = model(
        "g = GlobalAveragePool(x) f = Flatten(g) y = Softmax(f)", takes="float[N,4,8,8] x", gives="float[N,4] y"
    )

    assert "neither axis 1 nor axis 3 is the channels" in refused(tmp_path, made)


def test_an_open_size_is_asked_for_and_a_fixed_one_is_not_changed(tmp_path: Path) -> None:
    path = write(tmp_path, model(SOFTMAX, takes="float[N,3,H,W] x"))

    asked = run("layers", str(path))
    answered = run("layers", str(path), "--size", "16x24")
    write(tmp_path, model(SOFTMAX))
    contradicted = run("layers", str(path), "--size", "16x24")

    assert "height and width are open; say which to use with --size" in asked.stderr
    assert "16 x 24 x 4" in answered.stdout
    assert "its size is fixed, --size 16x24 cannot be had" in contradicted.stderr


@pytest.mark.parametrize("size", ["224", "0x8", "8x", "8*8", "-1x8"])
def test_a_size_that_is_none_is_refused_as_usage(size: str, tmp_path: Path) -> None:
    answer = run("layers", str(write(tmp_path, model(SOFTMAX))), f"--size={size}")

    assert answer.exit_code == 2
    assert "must be HEIGHTxWIDTH" in answer.stderr


def test_dropout_in_training_mode_is_refused(tmp_path: Path) -> None:
    made = model(BACKBONE + "h = Constant<value_float = 0.5>() d = Dropout(f, h, on) z = Gemm(d, w, b) y = Softmax(z)")
    made.graph.initializer.append(numpy_helper.from_array(np.array(True), "on"))

    assert "was exported in training mode (Dropout 'd')" in refused(tmp_path, made)


def test_batch_statistics_are_refused(tmp_path: Path) -> None:
    made = model(
        "c = Conv(x, k3, b4) n, m, v = BatchNormalization<training_mode = 1>(c, s4, b4, b4, v4) g = GlobalAveragePool(n) "
        "f = Flatten(g) z = Gemm(f, w, b) y = Softmax(z)"
    )

    assert "was exported in training mode (BatchNormalization 'n')" in refused(tmp_path, made)
