"""Functions of one element: x̄ = ȳ · dy/dx, with the derivative dy/dx [N, ...] the same for all classes.

What the forward pass has computed is used again: most derivatives are short in y. At a kink, where there is no derivative,
the value is TensorFlow's.
"""

import math
from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from exporter.gradcam.operators import Operators
from exporter.gradcam.rules.cotangent import per_class
from exporter.gradcam.rules.edge import Edge, Rule

Derivative = Callable[[Operators, Edge], ir.Value]  # dy/dx [N, ...]

_ZERO, _HALF, _ONE = np.float32(0), np.float32(0.5), np.float32(1)


def _abs(op: Operators, edge: Edge) -> ir.Value:
    """y = |x|: dy/dx = sign x, 0 at 0."""
    return op.Sign(edge.x)


def _celu(op: Operators, edge: Edge) -> ir.Value:
    """y = x for x > 0, else α (exp(x/α) - 1): dy/dx = y/α + 1 where y < 0, else 1."""
    return op.Min(op.Add(op.Div(edge.y, np.float32(edge.number("alpha", 1.0))), _ONE), _ONE)


def _elu(op: Operators, edge: Edge) -> ir.Value:
    """y = x for x > 0, else α (eˣ - 1): dy/dx = y + α where y < 0, else 1."""
    alpha = np.float32(edge.number("alpha", 1.0))
    return op.Where(op.Less(edge.y, _ZERO), op.Add(edge.y, alpha), _ONE)


def _erf(op: Operators, edge: Edge) -> ir.Value:
    """y = erf x: dy/dx = 2/√π exp(-x²)."""
    return op.Mul(op.Exp(op.Neg(op.Mul(edge.x, edge.x))), np.float32(2 / math.sqrt(math.pi)))


def _exp(_op: Operators, edge: Edge) -> ir.Value:
    """y = eˣ: dy/dx = y."""
    return edge.y


def _gelu(op: Operators, edge: Edge) -> ir.Value:
    """y = x Φ(x) (Hendrycks & Gimpel, arXiv:1606.08415): dy/dx = Φ(x) + x φ(x), the normal distribution and its density.

    With approximate = "tanh", Φ(x) = (1 + t)/2 where t = tanh u, u = √(2/π) (x + 0.044715 x³), and in place of φ(x) there is
    (1 - t²)/2 du/dx.
    """
    x, square = edge.x, op.Mul(edge.x, edge.x)
    if edge.text("approximate", "none") == "tanh":
        scale, cubic = math.sqrt(2 / math.pi), 0.044715
        u = op.Mul(x, op.Add(op.Mul(square, np.float32(scale * cubic)), np.float32(scale)))
        slope = op.Add(op.Mul(square, np.float32(1.5 * scale * cubic)), np.float32(scale / 2))  # (du/dx)/2
        t = op.Tanh(u)
        density = op.Mul(op.Sub(_ONE, op.Mul(t, t)), slope)
    else:
        t = op.Erf(op.Mul(x, np.float32(math.sqrt(0.5))))
        density = op.Mul(op.Exp(op.Mul(square, -_HALF)), np.float32(1 / math.sqrt(2 * math.pi)))
    return op.Add(op.Add(op.Mul(t, _HALF), _HALF), op.Mul(x, density))


def _hard_sigmoid(op: Operators, edge: Edge) -> ir.Value:
    """y = αx + β, cut to 0..1: dy/dx = α where 0 < y < 1, else 0."""
    inside = op.Sign(op.Mul(edge.y, op.Sub(_ONE, edge.y)))
    return op.Mul(inside, np.float32(edge.number("alpha", 0.2)))


def _hard_swish(op: Operators, edge: Edge) -> ir.Value:
    """y = x h(x), h(x) = x/6 + 1/2 cut to 0..1: dy/dx = x/3 + 1/2 where |x| < 3, else h(x)."""
    inside = op.Less(op.Abs(edge.x), np.float32(3))
    gate = op.HardSigmoid(edge.x, alpha=1 / 6, beta=0.5)
    return op.Where(inside, op.Add(op.Mul(edge.x, np.float32(1 / 3)), _HALF), gate)


def _leaky_relu(op: Operators, edge: Edge) -> ir.Value:
    """y = x for x > 0, else αx: dy/dx = 1 where x > 0, else α."""
    return op.Where(op.Greater(edge.x, _ZERO), _ONE, np.float32(edge.number("alpha", 0.01)))


def _log(op: Operators, edge: Edge) -> ir.Value:
    """y = ln x: dy/dx = 1/x."""
    return op.Reciprocal(edge.x)


def _mish(op: Operators, edge: Edge) -> ir.Value:
    """y = x t, t = tanh(ln(1 + eˣ)) (Misra, arXiv:1908.08681): dy/dx = t + x (1 - t²) σ(x)."""
    t = op.Tanh(op.Softplus(edge.x))
    return op.Add(t, op.Mul(op.Mul(edge.x, op.Sigmoid(edge.x)), op.Sub(_ONE, op.Mul(t, t))))


def _reciprocal(op: Operators, edge: Edge) -> ir.Value:
    """y = 1/x: dy/dx = -y²."""
    return op.Neg(op.Mul(edge.y, edge.y))


def _relu(op: Operators, edge: Edge) -> ir.Value:
    """y = max(x, 0): dy/dx = sign y, which is 1 where x > 0, else 0."""
    return op.Sign(edge.y)


def _selu(op: Operators, edge: Edge) -> ir.Value:
    """y = γx for x > 0, else γα (eˣ - 1): dy/dx = y + γα where y < 0, else γ."""
    alpha, gamma = edge.number("alpha", 1.6732632423543772), edge.number("gamma", 1.0507009873554805)
    return op.Where(op.Less(edge.y, _ZERO), op.Add(edge.y, np.float32(gamma * alpha)), np.float32(gamma))


def _sigmoid(op: Operators, edge: Edge) -> ir.Value:
    """y = 1/(1 + e⁻ˣ): dy/dx = y (1 - y)."""
    return op.Mul(edge.y, op.Sub(_ONE, edge.y))


def _softplus(op: Operators, edge: Edge) -> ir.Value:
    """y = ln(1 + eˣ): dy/dx = σ(x)."""
    return op.Sigmoid(edge.x)


def _softsign(op: Operators, edge: Edge) -> ir.Value:
    """y = x/(1 + |x|): dy/dx = (1 - |y|)²."""
    rest = op.Sub(_ONE, op.Abs(edge.y))
    return op.Mul(rest, rest)


def _sqrt(op: Operators, edge: Edge) -> ir.Value:
    """y = √x: dy/dx = 1/(2y)."""
    return op.Div(_HALF, edge.y)


def _swish(op: Operators, edge: Edge) -> ir.Value:
    """y = x s, s = σ(αx) (Ramachandran et al., arXiv:1710.05941): dy/dx = s + αy (1 - s)."""
    alpha = np.float32(edge.number("alpha", 1.0))
    s = op.Sigmoid(op.Mul(edge.x, alpha))
    return op.Add(s, op.Mul(op.Mul(edge.y, alpha), op.Sub(_ONE, s)))


def _tanh(op: Operators, edge: Edge) -> ir.Value:
    """y = tanh x: dy/dx = 1 - y²."""
    return op.Sub(_ONE, op.Mul(edge.y, edge.y))


def _thresholded_relu(op: Operators, edge: Edge) -> ir.Value:
    """y = x for x > α, else 0: dy/dx = 1 where x > α, else 0."""
    return op.Cast(op.Greater(edge.x, np.float32(edge.number("alpha", 1.0))), to=int(ir.DataType.FLOAT))


def _chain(derivative: Derivative) -> Rule:
    """The rule of a function of one element: x̄ = ȳ · dy/dx."""

    def rule(op: Operators, edge: Edge, cotangent: ir.Value) -> ir.Value:
        return op.Mul(cotangent, per_class(op, derivative(op, edge)))

    rule.__doc__ = derivative.__doc__
    return rule


def _neg(op: Operators, _edge: Edge, cotangent: ir.Value) -> ir.Value:
    """y = -x: x̄ = -ȳ."""
    return op.Neg(cotangent)


def _clip(op: Operators, edge: Edge, cotangent: ir.Value) -> ir.Value:
    """y = x, cut to a..b: x̄ = ȳ where x = y, which is a <= x <= b, else 0, as of tf.clip_by_value.

    With a = 0 it is a ReLU, or a ReLU6, which TensorFlow differentiates to 0 at both ends: x̄ = ȳ sign(y (b - y)).
    """
    if edge.input != 0:
        raise edge.refusal("its bounds depend on the picture")
    low = edge.constant(1)
    if low is None or low != 0:
        return op.Where(per_class(op, op.Equal(edge.x, edge.y)), cotangent, _ZERO)
    room = op.Mul(edge.y, op.Sub(edge.operand(2), edge.y)) if edge.has(2) else edge.y
    return op.Mul(cotangent, per_class(op, op.Sign(room)))


RULES: dict[str, Rule] = {
    "Abs": _chain(_abs),
    "Celu": _chain(_celu),
    "Clip": _clip,
    "Elu": _chain(_elu),
    "Erf": _chain(_erf),
    "Exp": _chain(_exp),
    "Gelu": _chain(_gelu),
    "HardSigmoid": _chain(_hard_sigmoid),
    "HardSwish": _chain(_hard_swish),
    "LeakyRelu": _chain(_leaky_relu),
    "Log": _chain(_log),
    "Mish": _chain(_mish),
    "Neg": _neg,
    "Reciprocal": _chain(_reciprocal),
    "Relu": _chain(_relu),
    "Selu": _chain(_selu),
    "Sigmoid": _chain(_sigmoid),
    "Softplus": _chain(_softplus),
    "Softsign": _chain(_softsign),
    "Sqrt": _chain(_sqrt),
    "Swish": _chain(_swish),
    "Tanh": _chain(_tanh),
    "ThresholdedRelu": _chain(_thresholded_relu),
}
