"""Operators on two tensors that broadcast against each other (numpy's rules).

ȳ is that of the full shape; an input that was broadcast gets the sum over its copies (`cotangent.summed`). The input that
the edge does not start from may be a constant or depend on the picture too: the rule is the same.
"""

import numpy as np
import onnx_ir as ir

from exporter.gradcam.operators import Operators
from exporter.gradcam.rules.cotangent import aligned, per_class, summed
from exporter.gradcam.rules.edge import Edge, Rule

_ZERO, _ONE = np.float32(0), np.float32(1)


def _add(op: Operators, edge: Edge, cotangent: ir.Value) -> ir.Value:
    """y = a + b (+ ...): ā = b̄ = ȳ. So is Expand's: y = a + 0."""
    return summed(op, edge, cotangent)


def _sub(op: Operators, edge: Edge, cotangent: ir.Value) -> ir.Value:
    """y = a - b: ā = ȳ, b̄ = -ȳ."""
    part = summed(op, edge, cotangent)
    return op.Neg(part) if edge.input == 1 else part


def _mul(op: Operators, edge: Edge, cotangent: ir.Value) -> ir.Value:
    """y = a b: ā = ȳ b, b̄ = ȳ a."""
    return summed(op, edge, op.Mul(cotangent, aligned(op, edge, 1 - edge.input)))


def _div(op: Operators, edge: Edge, cotangent: ir.Value) -> ir.Value:
    """y = a / b: ā = ȳ / b, b̄ = -ȳ y / b."""
    if edge.input == 0:
        return summed(op, edge, op.Div(cotangent, aligned(op, edge, 1)))
    slope = op.Neg(op.Div(edge.y, edge.x))
    return summed(op, edge, op.Mul(cotangent, per_class(op, slope)))


def _pow(op: Operators, edge: Edge, cotangent: ir.Value) -> ir.Value:
    """y = xᵖ: x̄ = ȳ p xᵖ⁻¹, for a constant p."""
    exponent = edge.constant(1)
    if edge.input == 1 or exponent is None:
        raise edge.refusal("its exponent is no constant")
    power = exponent.astype(np.float32)
    base = edge.x if (power == 2).all() else op.Pow(edge.x, power - _ONE)
    return summed(op, edge, op.Mul(cotangent, per_class(op, op.Mul(base, power))))


def _extremum(op: Operators, edge: Edge, cotangent: ir.Value) -> ir.Value:
    """y = max(a, b) or min(a, b): the one that was taken gets ȳ, the other 0. Of equal elements the first is taken."""
    if len(edge.node.inputs) != 2:
        raise edge.refusal("only that of two tensors has a rule")
    wins, wins_or_draws = ("Greater", "GreaterOrEqual") if edge.node.op_type == "Max" else ("Less", "LessOrEqual")
    compare = wins_or_draws if edge.input == 0 else wins
    taken = op.node(compare, [edge.x, edge.operand(1 - edge.input)], {}).outputs[0]
    return summed(op, edge, op.Where(per_class(op, taken), cotangent, _ZERO))


def _where(op: Operators, edge: Edge, cotangent: ir.Value) -> ir.Value:
    """y = a where c, else b: ā = ȳ where c, else 0; b̄ = 0 where c, else ȳ. No gradient reaches the condition c."""
    condition = aligned(op, edge, 0)
    branches = (cotangent, _ZERO) if edge.input == 1 else (_ZERO, cotangent)
    return summed(op, edge, op.Where(condition, *branches))


def _prelu(op: Operators, edge: Edge, cotangent: ir.Value) -> ir.Value:
    """y = x for x > 0, else sx: x̄ = ȳ where x > 0, else ȳ s, with the slopes s broadcast to x."""
    if edge.input == 1:
        raise edge.refusal("its slopes depend on the picture")
    slope = op.Where(op.Greater(edge.x, _ZERO), _ONE, edge.operand(1))
    return op.Mul(cotangent, per_class(op, slope))


RULES: dict[str, Rule] = {
    "Add": _add,
    "Div": _div,
    "Expand": _add,
    "Max": _extremum,
    "Min": _extremum,
    "Mul": _mul,
    "PRelu": _prelu,
    "Pow": _pow,
    "Sub": _sub,
    "Sum": _add,
    "Where": _where,
}
