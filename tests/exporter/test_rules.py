"""What holds for all vector-Jacobian rules: sums over paths, refusals, and which of them are linear."""

import numpy as np
import onnx_ir as ir
import pytest

from exporter.errors import UnsupportedGraphError
from exporter.gradcam.rules import is_linear, rule_of
from exporter.gradcam.rules.edge import Edge
from tests.exporter.derivatives import on_onnx_runtime, with_gradient
from tests.exporter.graphs import parse


def test_padding_that_cuts_off_leaves_zeros_where_it_cut() -> None:
    text = "g (float[N,4] x) => (float[N,4] y) <int64[4] pads = {0, -1, 0, 1}> { y = Pad(x, pads) }"

    found, _ = on_onnx_runtime(with_gradient(parse(text)))(
        np.ones((1, 4), np.float32), np.array([[[1, 2, 3, 4]]], np.float32)
    )

    np.testing.assert_array_equal(found, [[[0, 1, 2, 3]]])


def test_the_norm_of_nothing_has_no_gradient() -> None:
    text = "g (float[N,2] x) => (float[N,1] y) <int64[1] last = {1}> { y = ReduceL2(x, last) }"

    found, _ = on_onnx_runtime(with_gradient(parse(text)))(np.zeros((1, 2), np.float32), np.ones((1, 1, 1), np.float32))

    np.testing.assert_array_equal(found, [[[0, 0]]])


MAP = "float[N,2,3,3] x"
REFUSED = [  # operator, graph, reason
    ("Sin", "float[N,3] x) => (float[N,3] y) { y = Sin(x) }", "no gradient rule"),
    ("Add", "float[N,3] x) => (float[2,N,3] y) <float[2,1,1] c = {1, 2}> { y = Add(x, c) }", "moves the axis"),
    ("Mul", "float[N,3,3] x, float[K,3] z) => (float[N,3,3] y) { y = Mul(x, z) }", "differ in rank"),
    ("Expand", "float[N,3] x, int64[R] s) => (float[N,3] y) { z = Expand(x, s) y = Relu(z) }", "not known"),
    ("Pow", "float[N,3] x) => (float[N,3] y) <float c = {2}> { y = Pow(c, x) }", "exponent"),
    ("Max", "float[N,3] x) => (float[N,3] y) <float c = {2}> { y = Max(x, c, c) }", "only that of two"),
    ("Clip", "float x, float[N,3] z) => (float[N,3] y) { y = Clip(z, x) }", "bounds"),
    (
        "Pad",
        "float x, float[N,3] z) => (float[N,4] y) <int64[4] p = {0, 0, 0, 1}> { y = Pad(z, p, x) }",
        "what it adds",
    ),
    ("LayerNormalization", "float[N,3] x, float[3] v) => (float[N,1] y) { z, y = LayerNormalization(x, v) }", "mean"),
    (
        "MaxPool",
        "float[N,2,6] x) => (float[N,2,3] y) { y = MaxPool<kernel_shape = [2], strides = [3], ceil_mode = 1>(x) }",
        "engines disagree",
    ),
    ("PRelu", "float[N,3] x) => (float[N,3] y) { y = PRelu(x, x) }", "slopes"),
    ("Dropout", "float[N,3] x) => (float[N,3] y) <float r = {0.5}, bool t = {1}> { y = Dropout(x, r, t) }", "training"),
    ("Gemm", "float[3,N] x) => (float[N,1] y) <float[3,1] w = {1,2,3}> { y = Gemm<transA = 1>(x, w) }", "on the right"),
    (
        "Gemm",
        "float[N,3] x) => (float[3,N] y) <float[3,3] w = {1,2,3,4,5,6,7,8,9}> { y = Gemm<transB = 1>(w, x) }",
        "right",
    ),
    ("MatMul", "float[N,3] x) => (float[1,3] y) <float[1,2] w = {1, 2}> { y = MatMul(w, x) }", "mixes the pictures"),
    ("MatMul", "float[N,3] x, float[K,2] z) => (float[N,2] y) { y = MatMul(x, z) }", "mixes the pictures"),
    ("MatMul", "float[N,1,3,3] x, float[K,2,3,3] z) => (float[N,2,3,3] y) { y = MatMul(x, z) }", "are broadcast"),
    ("Conv", f"{MAP}) => (float[N,N,1,1] y) {{ y = Conv(x, x) }}", "kernel"),
    ("ConvTranspose", f"{MAP}) => (float[N,2,5,5] y) {{ y = ConvTranspose(x, x) }}", "kernel"),
    (
        "ConvTranspose",
        f"{MAP}, float[2,2,3,3] k) => (float[N,2,6,6] y) {{ y = ConvTranspose<output_shape = [6, 6]>(x, k) }}",
        "explicit",
    ),
    (
        "BatchNormalization",
        f"{MAP}, float[2] v) => (float[N,2,3,3] y) {{ y, m, s = BatchNormalization<training_mode = 1>(x, v, v, v, v) }}",
        "inference",
    ),
    (
        "LayerNormalization",
        f"{MAP}, float[3] v) => (float[N,2,3,3] y) {{ y = LayerNormalization<axis = 0>(x, v) }}",
        "over the batch",
    ),
    (
        "InstanceNormalization",
        "float[N] x, float[N,2,3] z, float[2] v) => (float[N,2,3] y) { y = InstanceNormalization(z, x, v) }",
        "scale",
    ),
    ("Softmax", f"{MAP}) => (float[N,2,3,3] y) {{ y = Softmax<axis = 0>(x) }}", "compete"),
    ("ReduceMean", f"{MAP}) => (float[1,1,1,1] y) {{ y = ReduceMean(x) }}", "over the batch"),
    ("ReduceSum", f"{MAP}, int64[1] a) => (float[N,2,3,1] y) {{ y = ReduceSum(x, a) }}", "at run time"),
    ("ReduceL2", f"{MAP}) => (float[N,2,3,3] y) {{ y = ReduceL2<noop_with_empty_axes = 1>(x) }}", "no axis"),
    ("Reshape", "float[N,2] x) => (float[M,4] y) <int64[2] s = {-1, 4}> { y = Reshape(x, s) }", "mixes the pictures"),
    ("Transpose", "float[N,3] x) => (float[3,N] y) { y = Transpose(x) }", "moves the axis"),
    ("Concat", f"{MAP}) => (float[M,2,3,3] y) {{ y = Concat<axis = 0>(x, x) }}", "along the axis of the batch"),
    ("Split", f"{MAP}) => (float[M,2,3,3] y) {{ y, z = Split<num_outputs = 2>(x) }}", "along the axis of the batch"),
    (
        "Slice",
        f"{MAP}) => (float[M,2,3,3] y) <int64[1] a = {{0}}, int64[1] b = {{2}}> {{ y = Slice(x, a, b) }}",
        "leaves out",
    ),
    ("Slice", f"{MAP}, int64[1] a) => (float[N,2,K,3] y) {{ y = Slice(x, a, a, a) }}", "at run time"),
    ("Gather", f"{MAP}, int64[1] a) => (float[N,1,3,3] y) {{ y = Gather<axis = 1>(x, a) }}", "no constant list"),
    ("Pad", f"{MAP}) => (float[M,2,3,3] y) <int64[8] p = {{1,0,0,0,0,0,0,0}}> {{ y = Pad(x, p) }}", "adds pictures"),
    (
        "Pad",
        f'{MAP}) => (float[N,2,3,3] y) <int64[8] p = {{0,0,0,1,0,0,0,-1}}> {{ y = Pad<mode = "edge">(x, p) }}',
        "cuts off",
    ),
]


@pytest.mark.parametrize(("operator", "graph", "reason"), REFUSED)
def test_what_no_rule_covers_is_refused_with_operator_node_reason_and_way_out(
    operator: str, graph: str, reason: str
) -> None:
    model = parse(f"g ({graph}")
    model.graph.node[0].name = "head/7"

    with pytest.raises(UnsupportedGraphError) as error:
        with_gradient(model)

    for part in (f"operator {operator} ", "'head/7'", reason, "--layer"):
        assert part in str(error.value)


def test_a_group_normalisation_with_a_scale_for_each_group_is_refused() -> None:
    operator = "GroupNormalization<num_groups = 2>(x, s, s)"
    model = parse(f"g (float[N,4,3] x, float[2] s) => (float[N,4,3] y) {{ y = {operator} }}", 21)

    with pytest.raises(UnsupportedGraphError, match="of each group, not of each channel"):
        with_gradient(model)


def test_an_operator_of_another_domain_is_refused_even_if_its_name_is_known() -> None:
    model = parse("g (float[N,3] x) => (float[N,3] y) { y = Relu(x) }")
    model.graph.node[0].domain = "com.example"

    with pytest.raises(UnsupportedGraphError, match="no gradient rule"):
        rule_of(ir.from_proto(model).graph[0])


def test_an_unknown_size_is_refused_by_the_name_of_the_tensor() -> None:
    model = parse("g (float[N,L] x) => (float[N,L] y) { y = Flatten(x) }")

    with pytest.raises(UnsupportedGraphError, match=r"tensor 'x'.*fixed picture size"):
        with_gradient(model)


LINEAR = [
    ("Identity(x)", 0),
    ("Add(x, z)", 1),
    ("Sub(c, x)", 1),
    ("Sum(x, z, c)", 0),
    ("Mul(x, c)", 0),
    ("Mul(c, x)", 1),
    ("Div(x, c)", 0),
    ("Where(mask, x, c)", 1),
    ("MatMul(x, c)", 0),
    ("MatMul(c, x)", 1),
    ("Gather<axis = 1>(x, one)", 0),
    ("Slice(x, one, two)", 0),
    ("ReduceMean(x, one)", 0),
    ("AveragePool<kernel_shape = [2]>(x)", 0),
    ("Reshape(x, shape)", 0),
]
NOT_LINEAR = [
    ("Relu(x)", 0),
    ("Mul(x, z)", 0),
    ("Mul(x, x)", 1),
    ("Div(c, x)", 1),
    ("Div(x, z)", 0),
    ("Where(condition, x, c)", 1),
    ("MatMul(x, z)", 1),
    ("MaxPool<kernel_shape = [2]>(x)", 0),
    ("Softmax(x)", 0),
]


@pytest.mark.parametrize(("operator", "index"), LINEAR)
def test_an_operator_is_linear_whose_coefficients_no_picture_changes(operator: str, index: int) -> None:
    assert is_linear(edge_of(operator, index))


@pytest.mark.parametrize(("operator", "index"), NOT_LINEAR)
def test_an_operator_is_not_linear_whose_slope_depends_on_the_picture(operator: str, index: int) -> None:
    assert not is_linear(edge_of(operator, index))


def test_an_operator_of_another_domain_is_not_taken_for_linear() -> None:
    edge = edge_of("Identity(x)", 0)
    edge.node.domain = "com.example"

    assert not is_linear(edge)


def edge_of(operator: str, index: int) -> Edge:
    constants = "<float[2,2] c = {1, 2, 3, 4}, bool mask = {1}, int64[1] one = {1}, int64[1] two = {2}>"
    inputs = "float[N,2,2] x, float[N,2,2] z, bool[N,2,2] condition, int64[R] shape"
    model = parse(f"g ({inputs}) => (float[N,A,B] y) {constants} {{ y = {operator} }}")
    return Edge(ir.from_proto(model).graph[0], index)
