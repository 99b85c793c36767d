"""Vision transformers are explained by their patches, whichever way their attention is written."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from tests.exporter.from_onnx.models import brought, model, pictures, predicted, refused

TRANSFORMER = """
    patches = Conv<strides = [4, 4]>(x, kp, b8)
    flat = Constant<value_ints = [0, 8, 4]>() rows = Reshape(patches, flat) tokens = Transpose<perm = [0, 2, 1]>(rows)
    n = Shape<start = 0, end = 1>(x) one = Constant<value_ints = [1, 8]>() size = Concat<axis = 0>(n, one)
    class_token = Expand(token, size) all = Concat<axis = 1>(class_token, tokens) h0 = Add(all, position)
    l1 = LayerNormalization<axis = -1>(h0, s8, b8)
    qkv = MatMul(l1, wqkv) q, k, v = Split<axis = 2, num_outputs = 3>(qkv)
    kt = Transpose<perm = [0, 2, 1]>(k) a = MatMul(q, kt) scale = Constant<value_float = 0.35>() sharp = Mul(a, scale)
    weights = Softmax<axis = -1>(sharp) mixed = MatMul(weights, v) h1 = Add(h0, mixed)
    l2 = LayerNormalization<axis = -1>(h1, s8, b8) up = MatMul(l2, w88) half = Constant<value_float = 0.5>()
    root = Constant<value_float = 1.4142135>() e0 = Div(up, root) e1 = Erf(e0) unit = Constant<value_float = 1.0>()
    e2 = Add(e1, unit) e3 = Mul(up, e2) gelu = Mul(e3, half) h2 = Add(h1, gelu)
    first = Constant<value_int = 0>() c = Gather<axis = 1>(h2, first) z = Gemm(c, w83) y = Softmax(z)
"""


# As timm writes it: queries, keys and values in front of the batch.
TAKEN_APART = {
    "Split": "front = Transpose<perm = [2, 0, 1, 3]>(three) q0, k0, v0 = Split<axis = 0, num_outputs = 3>(front) "
    "o = Constant<value_ints = [0]>() q = Squeeze(q0, o) k = Squeeze(k0, o) v = Squeeze(v0, o)",
    "Gather": "front = Transpose<perm = [2, 0, 1, 3]>(three) n0 = Constant<value_int = 0>() n1 = Constant<value_int = 1>() "
    "n2 = Constant<value_int = 2>() q = Gather<axis = 0>(front, n0) k = Gather<axis = 0>(front, n1) "
    "v = Gather<axis = 0>(front, n2)",
    "Slice": "o = Constant<value_ints = [0]>() p1 = Constant<value_ints = [1]>() p2 = Constant<value_ints = [2]>() "
    "p3 = Constant<value_ints = [3]>() more = Unsqueeze(three, o) first_axes = Transpose<perm = [3, 1, 2, 0, 4]>(more) "
    "front = Squeeze(first_axes, p3) q0 = Slice(front, o, p1, o) k0 = Slice(front, p1, p2, o) v0 = Slice(front, p2, p3, o) "
    "q = Squeeze(q0, o) k = Squeeze(k0, o) v = Squeeze(v0, o)",
}


def transformer(taken_apart: str = "") -> onnx.ModelProto:
    """A vision transformer of one block: 8 x 8 pixels in 2 x 2 patches and a class token, 8 numbers wide."""
    split = "q, k, v = Split<axis = 2, num_outputs = 3>(qkv)"
    apart = "parts = Constant<value_ints = [0, 0, 3, 8]>() three = Reshape(qkv, parts) " + taken_apart
    made = model(TRANSFORMER.replace(split, apart) if taken_apart else TRANSFORMER)
    random = np.random.default_rng(0)
    shapes = {
        "kp": (8, 3, 4, 4), "b8": (8,), "s8": (8,), "token": (1, 1, 8), "position": (1, 5, 8), "wqkv": (8, 24), "w88": (8, 8),
        "w83": (8, 3),
    }  # fmt: skip
    for name, shape in shapes.items():
        made.graph.initializer.append(numpy_helper.from_array(random.normal(size=shape).astype(np.float32), name))
    return made


def test_a_vision_transformer_is_explained_by_its_patches(tmp_path: Path) -> None:
    manifest = brought(tmp_path, transformer())

    assert (manifest.feature_map.layer, manifest.feature_map.height, manifest.feature_map.channels) == ("patches", 2, 8)


@pytest.mark.parametrize("how", TAKEN_APART)
def test_a_transformer_with_the_batch_behind_is_the_same(how: str, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    brought(tmp_path / "plain", transformer())

    brought(tmp_path, transformer(TAKEN_APART[how]))

    pixels = pictures(4, 8, 8, 3)
    np.testing.assert_allclose(predicted(tmp_path, pixels), predicted(tmp_path / "plain", pixels), atol=1e-6)


def test_a_batch_that_stays_behind_is_refused_by_tensor(tmp_path: Path) -> None:
    body = (
        "c = Conv<pads = [1, 1, 1, 1]>(x, k3, b4) r = Relu(c) s = Constant<value_ints = [0, 4, 64]>() h = Reshape(r, s) "
        "t = Transpose<perm = [1, 0, 2]>(h) e = Exp(t) u = Transpose<perm = [1, 0, 2]>(e) a = Constant<value_ints = [2]>() "
        "f = ReduceMean<keepdims = 0>(u, a) z = Gemm(f, w, b) y = Softmax(z)"
    )

    assert "tensor 't' has shape [4,N,64]; Grad-CAM needs every size but the batch" in refused(tmp_path, model(body))
