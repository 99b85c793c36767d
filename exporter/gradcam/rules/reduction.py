"""Operators that make one element out of many."""

import math

import numpy as np
import onnx_ir as ir

from exporter.gradcam.operators import Operators, ints, sample_shape
from exporter.gradcam.rules.edge import Edge, Rule


def _reduce_mean(op: Operators, edge: Edge, cotangent: ir.Value) -> ir.Value:
    """y = mean of x over some axes: every one of the n elements of x that make up one of y gets x̄ = ȳ / n."""
    shape = sample_shape(edge.x)
    axes = reduced_axes(edge)
    if 0 in axes:
        raise edge.refusal("it averages over the batch")
    kept = [1 if axis in axes else size for axis, size in enumerate(shape, start=1)]
    count = math.prod(shape) // math.prod(kept)
    share = op.Div(op.Reshape(cotangent, ints(0, 0, *kept)), np.float32(count))
    return op.Expand(share, ints(1, 1, *shape))


RULES: dict[str, Rule] = {"GlobalAveragePool": _reduce_mean, "ReduceMean": _reduce_mean}


def reduced_axes(edge: Edge) -> set[int]:
    """The axes of x over which the node reduces."""
    rank = edge.rank(0)
    if edge.node.op_type.startswith("Global"):
        return set(range(2, rank))
    if not edge.has(1):
        return set() if edge.integer("noop_with_empty_axes", 0) else set(range(rank))
    axes = edge.constant(1)
    if axes is None:
        raise edge.refusal("its axes are computed at run time")
    return {int(axis) % rank for axis in axes}
