"""Operators that make one element out of many: x̄ = ȳ · ∂y/∂x, with ȳ repeated along the axes that were reduced."""

from collections.abc import Callable

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from exporter.gradcam.operators import Operators, ints, sample_shape
from exporter.gradcam.rules.cotangent import per_class
from exporter.gradcam.rules.edge import Edge, Rule

# (op, x [N, ...], y with 1 in place of the reduced axes, these axes) -> ∂y/∂x [N, ...]
Derivative = Callable[[Operators, ir.Value, ir.Value, set[int]], ir.Value]


def _l1(op: Operators, x: ir.Value, _y: ir.Value, _axes: set[int]) -> ir.Value:
    """y = Σ|x|: ∂y/∂x = sign x."""
    return op.Sign(x)


def _l2(op: Operators, x: ir.Value, y: ir.Value, _axes: set[int]) -> ir.Value:
    """y = √Σx²: ∂y/∂x = x/y, and 0 where y is 0."""
    return op.Div(x, op.Max(y, np.finfo(np.float32).tiny))


def _log_sum_exp(op: Operators, x: ir.Value, y: ir.Value, _axes: set[int]) -> ir.Value:
    """y = ln Σeˣ: ∂y/∂x = exp(x - y)."""
    return op.Exp(op.Sub(x, y))


def _sum_square(op: Operators, x: ir.Value, _y: ir.Value, _axes: set[int]) -> ir.Value:
    """y = Σx²: ∂y/∂x = 2x."""
    return op.Mul(x, np.float32(2))


def _extremum(op: Operators, x: ir.Value, y: ir.Value, axes: set[int]) -> ir.Value:
    """y = largest, or smallest, x: ∂y/∂x = 1/n where x = y, for n of them; else 0. They share, as in TensorFlow."""
    taken = op.Cast(op.Equal(x, y), to=int(ir.DataType.FLOAT))
    return op.Div(taken, op.ReduceSum(taken, ints(*sorted(axes)), keepdims=1))


def _sum(op: Operators, edge: Edge, cotangent: ir.Value) -> ir.Value:
    """y = sum of x over some axes: every element of x that is part of an element of y gets x̄ = ȳ."""
    return op.Mul(_kept(op, edge, cotangent), _spread(edge))


def _mean(op: Operators, edge: Edge, cotangent: ir.Value) -> ir.Value:
    """y = mean of x over some axes: every one of the n elements of x that make up one of y gets x̄ = ȳ / n."""
    ones = _spread(edge)
    return op.Mul(_kept(op, edge, cotangent), ones / np.float32(ones.size))


def _chain(derivative: Derivative) -> Rule:
    """The rule of a reduction with the derivative ∂y/∂x: x̄ = ȳ · ∂y/∂x."""

    def rule(op: Operators, edge: Edge, cotangent: ir.Value) -> ir.Value:
        kept, axes = _kept_shape(edge), reduced_axes(edge)
        if not axes:
            raise edge.refusal("it reduces along no axis")
        y = edge.y if kept == sample_shape(edge.y) else op.Reshape(edge.y, ints(0, *kept))
        return op.Mul(_kept(op, edge, cotangent), per_class(op, derivative(op, edge.x, y, axes)))

    rule.__doc__ = derivative.__doc__
    return rule


RULES: dict[str, Rule] = {
    "GlobalAveragePool": _mean,
    "GlobalMaxPool": _chain(_extremum),
    "ReduceL1": _chain(_l1),
    "ReduceL2": _chain(_l2),
    "ReduceLogSumExp": _chain(_log_sum_exp),
    "ReduceMax": _chain(_extremum),
    "ReduceMean": _mean,
    "ReduceMin": _chain(_extremum),
    "ReduceSum": _sum,
    "ReduceSumSquare": _chain(_sum_square),
}


def reduced_axes(edge: Edge) -> set[int]:
    """The axes of x over which the node reduces."""
    rank = edge.rank(0)
    if edge.node.op_type.startswith("Global"):
        return set(range(2, rank))
    axes = edge.integers("axes")
    if edge.has(1):
        constant = edge.constant(1)
        if constant is None:
            raise edge.refusal("its axes are computed at run time")
        axes = constant.tolist()
    if not axes:
        return set() if edge.integer("noop_with_empty_axes", 0) else set(range(rank))
    return {int(axis) % rank for axis in axes}


def _kept_shape(edge: Edge) -> tuple[int, ...]:
    """The sizes of x, with 1 in place of the reduced axes."""
    axes = reduced_axes(edge)
    if 0 in axes:
        raise edge.refusal("it reduces over the batch")
    return tuple(1 if axis in axes else size for axis, size in enumerate(sample_shape(edge.x), start=1))


def _kept(op: Operators, edge: Edge, cotangent: ir.Value) -> ir.Value:
    """ȳ with 1 in place of the reduced axes, whether the node keeps them or not."""
    kept = _kept_shape(edge)
    return cotangent if kept == sample_shape(edge.y) else op.Reshape(cotangent, ints(0, 0, *kept))


def _spread(edge: Edge) -> NDArray[np.float32]:
    """Ones that repeat ȳ along the reduced axes when multiplied with it."""
    axes, sizes = reduced_axes(edge), sample_shape(edge.x)
    return np.ones([size if axis in axes else 1 for axis, size in enumerate(sizes, start=1)], np.float32)
