"""Files for one picture at a time become graphs for any number."""

from pathlib import Path

import numpy as np
import pytest

from tests.exporter.from_onnx.models import BACKBONE, SOFTMAX, brought, given, model, pictures, predicted, refused

RESHAPED = BACKBONE.replace("f = Flatten(g)", "s = Constant<value_ints = [1, 4]>() f = Reshape(g, s)")


@pytest.mark.parametrize("batch", [1, 2])
def test_a_fixed_batch_becomes_free(batch: int, tmp_path: Path) -> None:
    body = RESHAPED.replace("[1, 4]", f"[{batch}, 4]") + "z = Gemm(f, w, b) y = Softmax(z)"
    brought(tmp_path, model(body, takes=f"float[{batch},3,8,8] x", gives=f"float[{batch},3] y"))

    pixels = pictures(6, 8, 8, 3)
    inputs = (pixels.transpose(0, 3, 1, 2) / 255).astype(np.float32)
    expected = np.concatenate([given(tmp_path, inputs[start : start + batch]) for start in range(0, 6, batch)])
    np.testing.assert_allclose(predicted(tmp_path, pixels), expected, atol=1e-6)


def test_a_batch_of_one_that_hides_behind_a_free_one_is_found(tmp_path: Path) -> None:
    brought(tmp_path, model(RESHAPED + "z = Gemm(f, w, b) y = Softmax(z)"))

    assert predicted(tmp_path, pictures(6, 8, 8, 3)).shape == (6, 3)


def test_a_constant_that_stands_beside_one_picture_is_repeated_for_many(tmp_path: Path) -> None:
    body = (
        "plane = Constant<value = float[1,1,8,8] {" + ",".join(["1"] * 64) + "}>() a = Concat<axis = 1>(x, plane) "
        "i = Constant<value_ints = [3, 1, 2]>() h = Gather<axis = 1>(a, i) "
    ) + SOFTMAX.replace("(x, k3", "(h, k3")

    brought(tmp_path, model(body, takes="float[1,3,8,8] x", gives="float[1,3] y"))

    pixels = pictures(3, 8, 8, 3)
    inputs = (pixels.transpose(0, 3, 1, 2) / 255).astype(np.float32)
    expected = np.concatenate([given(tmp_path, inputs[number : number + 1]) for number in range(3)])
    np.testing.assert_allclose(predicted(tmp_path, pixels), expected, atol=1e-6)


def test_squeezing_all_axes_of_size_one_leaves_the_batch(tmp_path: Path) -> None:
    body = BACKBONE.replace("f = Flatten(g)", "f = Squeeze(g)") + "z = Gemm(f, w, b) y = Softmax(z)"

    brought(tmp_path, model(body))

    assert predicted(tmp_path, pictures(1, 8, 8, 3)).shape == (1, 3)


def test_a_batch_that_cannot_be_freed_is_refused_with_the_way_out(tmp_path: Path) -> None:
    body = (
        "t = Transpose<perm = [1, 0, 2, 3]>(x) s = Constant<value_ints = [3, 1, 8, 8]>() q = Reshape(t, s) "
        "u = Transpose<perm = [1, 0, 2, 3]>(q) "
    ) + SOFTMAX.replace("(x, k3", "(u, k3")

    reason = refused(tmp_path, model(body, takes="float[1,3,8,8] x", gives="float[1,3] y"))

    assert "is made for a batch of 1 and cannot be changed to take any" in reason
    assert "operator Conv" in reason
    assert "Export it with a free batch" in reason
