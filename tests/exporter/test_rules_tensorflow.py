"""The rules against TensorFlow's GradientTape: at kinks and ties, where differences say nothing, and anywhere."""

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from tests.exporter.derivatives import (
    NEWEST,
    Floats,
    declared,
    on_onnx_runtime,
    on_openvino,
    sizes,
    spaced,
    weights,
    with_gradient,
)
from tests.exporter.graphs import parse

Function = Callable[[tf.Tensor], tf.Tensor]

KINKS = np.array([[-6, -3, -2.5, -1, -0.0, 0, 1, 2.5, 3, 6, 7]], np.float32)
LINE = "float[N,11] x) => (float[N,11] y)"
AT_KINKS: dict[str, tuple[str, Function]] = {
    "Abs": ("Abs(x)", tf.abs),
    "Relu": ("Relu(x)", tf.nn.relu),
    "ReLU6": ("Clip(x, zero, six)", tf.nn.relu6),
    "Clip": ("Clip(x, one, six)", lambda x: tf.clip_by_value(x, 1, 6)),
    "Clip, above only": ("Clip(x, , one)", lambda x: tf.clip_by_value(x, -99, 1)),
    "LeakyRelu": ("LeakyRelu<alpha = 0.2>(x)", tf.nn.leaky_relu),
    "Elu": ("Elu(x)", tf.nn.elu),
    "Celu": ("Celu(x)", tf.nn.elu),
    "Selu": ("Selu(x)", tf.nn.selu),
    "Softsign": ("Softsign(x)", tf.nn.softsign),
    "Softplus": ("Softplus(x)", tf.nn.softplus),
    "Sigmoid": ("Sigmoid(x)", tf.sigmoid),
    "Tanh": ("Tanh(x)", tf.tanh),
    "Erf": ("Erf(x)", tf.math.erf),
    "Gelu": ("Gelu(x)", tf.nn.gelu),
    "Gelu, by tanh": ('Gelu<approximate = "tanh">(x)', lambda x: tf.nn.gelu(x, approximate=True)),
    "HardSigmoid": ("HardSigmoid<alpha = 0.16666667>(x)", lambda x: tf.nn.relu6(x + 3) / 6),
    "HardSwish": ("HardSwish(x)", lambda x: x * tf.nn.relu6(x + 3) / 6),
    "Max": ("Max(x, one)", lambda x: tf.maximum(x, 1)),
    "Max, the other way round": ("Max(one, x)", lambda x: tf.maximum(1.0, x)),
    "Min": ("Min(x, one)", lambda x: tf.minimum(x, 1)),
    "Min, the other way round": ("Min(one, x)", lambda x: tf.minimum(1.0, x)),
    "Pow": ("Pow(x, two)", lambda x: x**2),
}

TIES = np.array([[[3, 7, 7, 3], [7, 7, 0, 3], [0, 0, 0, 0]]], np.float32)[:, None]  # [1, 1, 3, 4]
AT_TIES: dict[str, tuple[str, str, Function]] = {
    "MaxPool": (
        "1,2,3",
        "MaxPool<kernel_shape = [2, 2]>(x)",
        lambda x: first(tf.nn.max_pool2d(last(x), 2, 1, "VALID")),
    ),
    "MaxPool, padded": (
        "1,2,2",
        'MaxPool<kernel_shape = [3, 3], strides = [2, 2], auto_pad = "SAME_UPPER">(x)',
        lambda x: first(tf.nn.max_pool2d(last(x), 3, 2, "SAME")),
    ),
    "ReduceMax": ("1,1,1", "ReduceMax(x, space)", lambda x: tf.reduce_max(x, [2, 3], keepdims=True)),
    "ReduceMin": ("1,1,4", "ReduceMin(x, rows)", lambda x: tf.reduce_min(x, 2, keepdims=True)),
    "GlobalMaxPool": ("1,1,1", "GlobalMaxPool(x)", lambda x: tf.reduce_max(x, [2, 3], keepdims=True)),
}

# of x [N, 4, 5, 6]
DENSE, KERNEL, DEPTHWISE = weights(6, 2), weights(3, 4, 3, 2), weights(4, 1, 3, 3)
GAMMA, BETA, MEAN, VARIANCE = weights(4), weights(4), weights(4), np.array([0.3, 0.6, 1, 2], np.float32)
CONSTANTS = f"""<{declared("w", DENSE)}, {declared("k", KERNEL)}, {declared("d", DEPTHWISE)}, {declared("g", GAMMA)},
    {declared("b", BETA)}, {declared("m", MEAN)}, {declared("v", VARIANCE)}, int64[2] space = {{2, 3}},
    int64[8] pads = {{0, 0, 1, 2, 0, 0, 2, 1}}, int64[2] from = {{4, 1}}, int64[2] to = {{0, 6}}, int64[2] steps = {{-1, 2}},
    int64[4] some = {{4, 0, 4, 2}}, int64[2] parts = {{1, 3}}>"""
OPERATORS: dict[str, tuple[str, str, Function]] = {
    "MatMul": ("4,5,2", "y = MatMul(x, w)", lambda x: x @ DENSE),
    "Attention": (
        "4,5,6",
        "q = Transpose<perm = [0, 1, 3, 2]>(x) s = MatMul(x, q) a = Softmax(s) y = MatMul(a, x)",
        lambda x: tf.nn.softmax(tf.matmul(x, x, transpose_b=True)) @ x,
    ),
    "Conv": (
        "3,3,3",
        'y = Conv<strides = [2, 2], auto_pad = "SAME_UPPER">(x, k)',
        lambda x: first(tf.nn.conv2d(last(x), KERNEL.transpose(2, 3, 1, 0), 2, "SAME")),
    ),
    "Conv, depthwise": (
        "4,3,4",
        "y = Conv<group = 4>(x, d)",
        lambda x: first(tf.nn.depthwise_conv2d(last(x), DEPTHWISE.transpose(2, 3, 0, 1), [1, 1, 1, 1], "VALID")),
    ),
    "AveragePool": (
        "4,3,3",
        'y = AveragePool<kernel_shape = [3, 3], strides = [2, 2], auto_pad = "SAME_UPPER">(x)',
        lambda x: first(tf.nn.avg_pool2d(last(x), 3, 2, "SAME")),
    ),
    "MaxPool": (
        "4,3,3",
        'y = MaxPool<kernel_shape = [3, 3], strides = [2, 2], auto_pad = "SAME_UPPER">(x)',
        lambda x: first(tf.nn.max_pool2d(last(x), 3, 2, "SAME")),
    ),
    "BatchNormalization": (
        "4,5,6",
        "y = BatchNormalization(x, g, b, m, v)",
        lambda x: first(tf.nn.batch_normalization(last(x), MEAN, VARIANCE, BETA, GAMMA, 1e-5)),
    ),
    "InstanceNormalization": (
        "4,5,6",
        "y = InstanceNormalization(x, g, b)",
        lambda x: first(
            tf.nn.batch_normalization(last(x), *tf.nn.moments(last(x), [1, 2], keepdims=True), BETA, GAMMA, 1e-5)
        ),
    ),
    "Softmax": ("4,5,6", "y = Softmax<axis = 1>(x)", lambda x: tf.nn.softmax(x, 1)),
    "LogSoftmax": ("4,5,6", "y = LogSoftmax(x)", tf.nn.log_softmax),
    "Squeeze and excite": (
        "4,5,6",
        "s = ReduceMean(x, space) h = Sigmoid(s) y = Mul(x, h)",
        lambda x: x * tf.sigmoid(tf.reduce_mean(x, [2, 3], keepdims=True)),
    ),
    "ReduceL2": ("4", "y = ReduceL2<keepdims = 0>(x, space)", lambda x: tf.norm(x, axis=[2, 3])),
    "Pad": (
        "4,8,9",
        'y = Pad<mode = "reflect">(x, pads)',
        lambda x: tf.pad(x, [[0, 0], [0, 0], [1, 2], [2, 1]], "REFLECT"),
    ),
    "Slice": ("4,4,3", "y = Slice(x, from, to, space, steps)", lambda x: x[:, :, 4:0:-1, 1:6:2]),
    "Gather": ("4,4,6", "y = Gather<axis = 2>(x, some)", lambda x: tf.gather(x, [4, 0, 4, 2], axis=2)),
    "Split and Concat": (
        "4,5,6",
        "p, q = Split<axis = 1>(x, parts) e = Exp(q) y = Concat<axis = 1>(e, p)",
        lambda x: tf.concat([tf.exp(x[:, 1:]), x[:, :1]], 1),
    ),
}


@pytest.mark.parametrize("name", AT_KINKS)
def test_a_derivative_at_a_kink_is_that_of_tensorflow(name: str) -> None:
    function, expected = AT_KINKS[name]
    constants = "<float zero = {0}, float one = {1}, float two = {2}, float six = {6}>"

    check_against_gradient_tape(f"{LINE} {constants} {{ y = {function} }}", KINKS, expected)


@pytest.mark.parametrize("name", AT_TIES)
def test_equal_elements_share_or_the_first_takes_all_as_in_tensorflow(name: str) -> None:
    target, operator, expected = AT_TIES[name]
    constants = "<int64[2] space = {2, 3}, int64[1] rows = {2}>"

    check_against_gradient_tape(
        f"float[N,1,3,4] x) => (float[N,{target}] y) {constants} {{ y = {operator} }}", TIES, expected
    )


@pytest.mark.parametrize("name", OPERATORS)
def test_a_rule_agrees_with_gradient_tape(name: str) -> None:
    target, operators, expected = OPERATORS[name]
    x = spaced(np.random.default_rng(0), (2, 4, 5, 6))

    check_against_gradient_tape(
        f"float[N,4,5,6] x) => (float[N,{target}] y) {CONSTANTS} {{ {operators} }}", x, expected
    )


def check_against_gradient_tape(text: str, x: Floats, function: Function) -> None:
    model = parse(f"g ({text}", NEWEST)
    seed = np.random.default_rng(1).normal(size=(len(x), 2, *sizes(model.graph.output[0]))).astype(np.float32)
    variable = tf.Variable(x)
    with tf.GradientTape(persistent=True) as tape:
        y = function(variable)
    expected = np.stack([tape.gradient(y, variable, seed[:, number]).numpy() for number in range(2)], axis=1)
    for engine in (on_onnx_runtime, on_openvino):
        np.testing.assert_allclose(engine(with_gradient(model))(x, seed)[0], expected, rtol=1e-4, atol=1e-5)


def first(x: tf.Tensor) -> tf.Tensor:
    """Channels first: [N, h, w, C] -> [N, C, h, w]."""
    return tf.transpose(x, [0, 3, 1, 2])


def last(x: tf.Tensor) -> tf.Tensor:
    """Channels last: [N, C, h, w] -> [N, h, w, C]."""
    return tf.transpose(x, [0, 2, 3, 1])
