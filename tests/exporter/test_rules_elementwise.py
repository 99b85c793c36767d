"""The rules of functions of one element."""

import pytest

from tests.exporter.derivatives import check_against_differences

MAP = "float[N,2,3,2] x) => (float[N,2,3,2] y)"

FUNCTIONS = {
    "Abs": "Abs(x)",
    "Celu": "Celu<alpha = 1.5>(x)",
    "Clip": "Clip(x, low, high)",
    "Clip, below only": "Clip(x, low)",
    "Clip, above only": "Clip(x, , high)",
    "ReLU6": "Clip(x, zero, high)",
    "ReLU as a Clip": "Clip(x, zero)",
    "Elu": "Elu<alpha = 0.5>(x)",
    "Erf": "Erf(x)",
    "Exp": "Exp(x)",
    "Log": "Log(e)",
    "Sqrt": "Sqrt(e)",
    "HardSigmoid": "HardSigmoid(x)",
    "HardSigmoid of PyTorch": "HardSigmoid<alpha = 0.1666667>(x)",
    "HardSwish": "HardSwish(x)",
    "LeakyRelu": "LeakyRelu(x)",
    "LeakyRelu that falls": "LeakyRelu<alpha = -0.3>(x)",
    "Neg": "Neg(x)",
    "Reciprocal": "Reciprocal(x)",
    "Relu": "Relu(x)",
    "Selu": "Selu(x)",
    "Selu, other numbers": "Selu<alpha = 0.5, gamma = 2.0>(x)",
    "Sigmoid": "Sigmoid(x)",
    "Softplus": "Softplus(x)",
    "Softsign": "Softsign(x)",
    "Tanh": "Tanh(x)",
    "ThresholdedRelu": "ThresholdedRelu<alpha = 0.5>(x)",
}
NEWER = {
    "Gelu": ("Gelu(x)", 20),
    "Gelu, by tanh": ('Gelu<approximate = "tanh">(x)', 20),
    "Mish": ("Mish(x)", 22),
    "Swish": ("Swish(x)", 24),
    "Swish, scaled": ("Swish<alpha = 1.7>(x)", 24),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_rule_of_a_function_agrees_with_differences(name: str) -> None:
    constants = "<float low = {-1.55}, float zero = {0}, float high = {1.55}>"

    check_against_differences(f"{MAP} {constants} {{ e = Exp(x) y = {FUNCTIONS[name]} }}")


@pytest.mark.parametrize("name", NEWER)
def test_so_does_that_of_a_function_that_only_newer_opsets_have(name: str) -> None:
    function, opset = NEWER[name]

    check_against_differences(f"{MAP} {{ y = {function} }}", opset)
