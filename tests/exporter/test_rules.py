"""Each vector-Jacobian rule alone, against central differences of the operator as ONNX Runtime computes it.

All operators are linear or piecewise linear and the inputs keep their distance from every kink, so that central differences are
exact up to rounding.
"""

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from numpy.typing import NDArray
from onnx_ir.passes.common import ShapeInferencePass

from exporter.errors import UnsupportedGraphError
from exporter.gradcam.backward import gradient, path
from exporter.gradcam.operators import Operators
from tests.exporter.graphs import parse, run

STEP = 0.01  # of the differences; inputs are multiples of 0.1

MAX_POOL = "float[N,2,5,6] x) => (float[N,2,{h},{w}] y) {{ y = MaxPool<{attributes}>(x) }}"

OPERATORS = {
    "Identity": "float[N,2,3] x) => (float[N,2,3] y) { y = Identity(x) }",
    "Relu": "float[N,2,3,2] x) => (float[N,2,3,2] y) { y = Relu(x) }",
    "Add of a bias": "float[N,3] x) => (float[N,3] y) <float[3] b = {1, 2, 3}> { y = Add(x, b) }",
    "Add, bias first": "float[N,3] x) => (float[N,3] y) <float[3] b = {1, 2, 3}> { y = Add(b, x) }",
    "Add of a tensor to itself": "float[N,3] x) => (float[N,3] y) { y = Add(x, x) }",
    "Skip connection": "float[N,3] x) => (float[N,3] y) { r = Relu(x) y = Add(x, r) }",
    "MatMul": "float[N,3] x) => (float[N,2] y) <float[3,2] w = {1, -2, 3, 4, -5, 6}> { y = MatMul(x, w) }",
    "MatMul of a map": "float[N,2,2,3] x) => (float[N,2,2,2] y) <float[3,2] w = {1, -2, 3, 4, -5, 6}> { y = MatMul(x, w) }",
    "Gemm": "float[N,3] x) => (float[N,2] y) <float[3,2] w = {1, -2, 3, 4, -5, 6}, float[2] b = {7, 8}> { y = Gemm(x, w, b) }",
    "Gemm, transposed and scaled": "float[N,3] x) => (float[N,2] y) <float[2,3] w = {1, -2, 3, 4, -5, 6}> { y = Gemm<transB = 1, alpha = 0.5>(x, w) }",
    "Flatten": "float[N,2,3,2] x) => (float[N,12] y) { y = Flatten(x) }",
    "Reshape": "float[N,2,3,2] x) => (float[N,3,4] y) <int64[3] s = {-1, 3, 4}> { y = Reshape(x, s) }",
    "Squeeze": "float[N,4,1,1] x) => (float[N,4] y) <int64[2] a = {2, 3}> { y = Squeeze(x, a) }",
    "Unsqueeze": "float[N,4] x) => (float[N,1,4] y) <int64[1] a = {1}> { y = Unsqueeze(x, a) }",
    "Transpose": "float[N,2,3,4] x) => (float[N,3,4,2] y) { y = Transpose<perm = [0, 2, 3, 1]>(x) }",
    "GlobalAveragePool": "float[N,2,3,2] x) => (float[N,2,1,1] y) { y = GlobalAveragePool(x) }",
    "ReduceMean": "float[N,3,2,4] x) => (float[N,4] y) <int64[2] a = {1, -2}> { y = ReduceMean<keepdims = 0>(x, a) }",
    "ReduceMean that keeps axes": "float[N,3,4] x) => (float[N,3,1] y) <int64[1] a = {2}> { y = ReduceMean(x, a) }",
    "MaxPool": MAX_POOL.format(h=2, w=3, attributes="kernel_shape = [2, 2], strides = [2, 2]"),
    "MaxPool, overlapping": MAX_POOL.format(h=3, w=4, attributes="kernel_shape = [3, 3]"),
    "MaxPool, padded": MAX_POOL.format(
        h=3, w=4, attributes="kernel_shape = [3, 2], strides = [2, 2], pads = [1, 1, 1, 1]"
    ),
    "MaxPool, padded by itself": MAX_POOL.format(
        h=3, w=3, attributes='kernel_shape = [3, 3], strides = [2, 2], auto_pad = "SAME_UPPER"'
    ),
    "MaxPool, with the places numbered by column": MAX_POOL.format(
        h=4, w=5, attributes="kernel_shape = [2, 2], storage_order = 1"
    ),
    "MaxPool, dilated": MAX_POOL.format(h=3, w=4, attributes="kernel_shape = [2, 2], dilations = [2, 2]"),
}


@pytest.mark.parametrize("pictures", [1, 5])
@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize("text", OPERATORS.values(), ids=OPERATORS.keys())
def test_a_rule_agrees_with_finite_differences(text: str, classes: int, pictures: int) -> None:
    model = parse(f"g ({text}")
    random = np.random.default_rng(0)
    x = separated(random, (pictures, *sizes(model.graph.input[0])))
    seed = random.normal(size=(pictures, classes, *sizes(model.graph.output[0]))).astype(np.float32)

    (found,) = run(with_gradient(model), x=x, seed=seed)

    np.testing.assert_allclose(found, by_differences(model, x, seed), rtol=1e-3, atol=1e-3)


def test_max_pooling_gives_the_gradient_of_equal_elements_to_the_first() -> None:
    model = parse("g (float[N,1,2,2] x) => (float[N,1,1,1] y) { y = MaxPool<kernel_shape = [2, 2]>(x) }")
    x = np.array([[[[3, 7], [7, 7]]]], np.float32)

    (found,) = run(with_gradient(model), x=x, seed=np.full((1, 1, 1, 1, 1), 5, np.float32))

    np.testing.assert_array_equal(found, [[[[[0, 5], [0, 0]]]]])


def test_the_gradient_of_relu_at_zero_is_zero() -> None:
    model = parse("g (float[N,3] x) => (float[N,3] y) { y = Relu(x) }")

    (found,) = run(with_gradient(model), x=np.array([[-1, 0, 1]], np.float32), seed=np.ones((1, 1, 3), np.float32))

    np.testing.assert_array_equal(found, [[[0, 0, 1]]])


REFUSED = {
    "Erf": ("float[N,3] x) => (float[N,3] y) { y = Erf(x) }", "no gradient rule"),
    "Add": ("float[N,1] x) => (float[N,3] y) <float[3] b = {1, 2, 3}> { y = Add(x, b) }", "is broadcast"),
    "MatMul": ("float[N,3,2] x) => (float[N,1,2] y) <float[1,3] w = {1, 2, 3}> { y = MatMul(w, x) }", "on the right"),
    "Gemm": (
        "float[3,N] x) => (float[N,1] y) <float[3,1] w = {1, 2, 3}> { y = Gemm<transA = 1>(x, w) }",
        "on the right",
    ),
    "Reshape": ("float[N,2] x) => (float[M,4] y) <int64[2] s = {-1, 4}> { y = Reshape(x, s) }", "mixes the pictures"),
    "Transpose": ("float[N,3] x) => (float[3,N] y) { y = Transpose(x) }", "the axis of the batch"),
    "ReduceMean": ("float[N,3] x) => (float[1,1] y) { y = ReduceMean(x) }", "over the batch"),
}


@pytest.mark.parametrize("operator", REFUSED)
def test_what_no_rule_covers_is_refused_with_operator_node_reason_and_way_out(operator: str) -> None:
    text, reason = REFUSED[operator]
    model = parse(f"g ({text}")
    model.graph.node[0].name = "head/7"

    with pytest.raises(UnsupportedGraphError) as error:
        with_gradient(model)

    for part in (f"operator {operator} ", "'head/7'", reason, "--layer"):
        assert part in str(error.value)


def test_an_unknown_size_is_refused_by_the_name_of_the_tensor() -> None:
    model = parse("g (float[N,L] x) => (float[N,L] y) { y = Flatten(x) }")

    with pytest.raises(UnsupportedGraphError, match=r"tensor 'x'.*fixed picture size"):
        with_gradient(model)


def with_gradient(model: onnx.ModelProto) -> onnx.ModelProto:
    """Replaces the output y of `model` by the cotangent of x for a `seed` f32 [N, M, ...], a new input."""
    program = ShapeInferencePass()(ir.from_proto(model)).model
    graph = program.graph
    x, y = graph.inputs[0], graph.outputs[0]
    seed = ir.val("seed", ir.DataType.FLOAT)
    graph.inputs.append(seed)
    found = gradient(Operators(graph, "gradient"), path(graph, x, y), y, seed, x)
    found.type = ir.TensorType(ir.DataType.FLOAT)
    graph.outputs[:] = [found]
    return ir.to_proto(program)


def sizes(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    """All sizes but the batch's."""
    return tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim[1:])


def separated(random: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Values that are different from each other and from 0 by at least 0.1, none alike in two pictures."""
    count = int(np.prod(shape))
    values = np.concatenate([np.arange(1, count + 1), -np.arange(1, count + 1)]) / 10
    return random.permutation(values)[:count].reshape(shape).astype(np.float32)


def by_differences(model: onnx.ModelProto, x: NDArray[np.float32], seed: NDArray[np.float32]) -> NDArray[np.float64]:
    """What the rule should give: the seed times the Jacobian by central differences, [N, M, ...]."""
    pictures, elements = x.shape[0], int(np.prod(x.shape[1:]))
    nudges = STEP * np.eye(elements, dtype=np.float32).reshape(elements, 1, *x.shape[1:])
    (above,), (below,) = (run(model, x=(x + sign * nudges).reshape(-1, *x.shape[1:])) for sign in (1, -1))
    jacobian = (above.astype(np.float64) - below).reshape(elements, pictures, -1) / (2 * STEP)
    found: NDArray[np.float64] = np.einsum("enp,nmp->nme", jacobian, seed.reshape(*seed.shape[:2], -1))
    return found.reshape(*seed.shape[:2], *x.shape[1:])
