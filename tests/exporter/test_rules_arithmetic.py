"""The rules of operators on two tensors that broadcast."""

import pytest

from tests.exporter.derivatives import check_against_differences

MAP = "float[N,2,3,2] x) => (float[N,2,3,2] y)"

# c: a number; b: one per column; k: one per channel; f: one per channel, with an axis for the batch; s: of each picture
CONSTANTS = """<float c = {1.3}, float[2] b = {0.7, -1.2}, float[2,1,1] k = {0.5, -2.5}, float[1,2,1,1] f = {0.8, 1.9},
    int64[2] space = {2, 3}, float three = {3}, float two = {2}, float half = {0.5}, bool[3,1] mask = {1, 0, 1}>"""

FORMULAS = {
    "Add of a constant": "y = Add(x, b)",
    "Add to a constant": "y = Add(f, x)",
    "Add of a tensor to itself": "y = Add(x, x)",
    "Add of a branch": "r = Relu(x) y = Add(x, r)",
    "Add of something broadcast": "s = ReduceMean(x, space) y = Add(s, x)",
    "Sum of three": "r = Relu(x) s = ReduceMean(x, space) y = Sum(x, r, s)",
    "Sub of a constant": "y = Sub(x, c)",
    "Sub from a constant": "y = Sub(k, x)",
    "Sub of something broadcast": "s = ReduceMean(x, space) y = Sub(x, s)",
    "Mul by a number": "y = Mul(x, c)",
    "Mul by a number for each channel": "y = Mul(x, k)",
    "Mul by a number for each channel, with an axis for the batch": "y = Mul(f, x)",
    "Square": "y = Mul(x, x)",
    "Squeeze and excite": "s = ReduceMean(x, space) g = Sigmoid(s) y = Mul(x, g)",
    "Squeeze and excite, the other way round": "s = ReduceMean(x, space) g = Sigmoid(s) y = Mul(g, x)",
    "Div by a constant": "y = Div(x, k)",
    "Div of a constant": "e = Exp(x) y = Div(b, e)",
    "Div by something broadcast": "e = Exp(x) s = ReduceMean(e, space) y = Div(x, s)",
    "Div of something broadcast": "e = Exp(x) s = ReduceMean(e, space) y = Div(s, e)",
    "Pow 2": "y = Pow(x, two)",
    "Pow 3": "y = Pow(x, three)",
    "Root": "e = Exp(x) y = Pow(e, half)",
    "Powers for each column": "e = Exp(x) y = Pow(e, b)",
    "Max with a number": "y = Max(x, c)",
    "Max with a number, the other way round": "y = Max(c, x)",
    "Max of two branches": "n = Neg(x) h = Mul(n, half) y = Max(x, h)",
    "Max with something broadcast": "s = ReduceMean(x, space) h = Add(s, half) y = Max(h, x)",
    "Min with a number for each channel": "y = Min(x, k)",
    "Min of two branches": "n = Neg(x) h = Mul(n, half) y = Min(h, x)",
    "PRelu, a slope for each channel": "y = PRelu(x, k)",
    "Where, by a constant mask": "e = Exp(x) y = Where(mask, x, e)",
    "Where, by a condition of the picture": "q = Greater(x, c) e = Exp(x) y = Where(q, x, e)",
    "Where, from a constant": "q = Greater(x, c) y = Where(q, x, b)",
    "Where, from something broadcast": "q = Greater(x, c) s = ReduceMean(x, space) y = Where(q, s, x)",
}
EXPAND = """float[N,2,1,1] x) => (float[N,2,3,2] y) <int64[3] rest = {2, 3, 2}>
    { n = Shape<start = 0, end = 1>(x) shape = Concat<axis = 0>(n, rest) y = Expand(x, shape) }"""


@pytest.mark.parametrize("name", FORMULAS)
def test_the_rules_of_arithmetic_agree_with_differences(name: str) -> None:
    check_against_differences(f"{MAP} {CONSTANTS} {{ {FORMULAS[name]} }}")


def test_so_does_that_of_expand() -> None:
    check_against_differences(EXPAND)
