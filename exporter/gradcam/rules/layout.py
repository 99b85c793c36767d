"""Operators that only move elements about."""

import math

import onnx_ir as ir

from exporter.gradcam.operators import Operators, ints, sample_shape
from exporter.gradcam.rules.edge import Edge, Rule


def _reshape(op: Operators, edge: Edge, cotangent: ir.Value) -> ir.Value:
    """y = x in another shape, pictures kept apart (also Flatten, Squeeze, Unsqueeze): x̄ = ȳ in the shape of x."""
    shape, reshaped = sample_shape(edge.x), sample_shape(edge.y)
    if math.prod(shape) != math.prod(reshaped):
        raise edge.refusal("it mixes the pictures of a batch")
    return op.Reshape(cotangent, ints(0, 0, *shape))


def _transpose(op: Operators, edge: Edge, cotangent: ir.Value) -> ir.Value:
    """y has axis perm[i] of x as its axis i: x̄ is ȳ with the axes put back, one further right for the classes."""
    permutation = permutation_of(edge.node)
    if permutation[0] != 0:
        raise edge.refusal("it moves the axis of the batch")
    inverse = [permutation.index(axis) for axis in range(len(permutation))]
    return op.Transpose(cotangent, perm=[0, 1, *(axis + 1 for axis in inverse[1:])])


RULES: dict[str, Rule] = {
    "Flatten": _reshape,
    "Reshape": _reshape,
    "Squeeze": _reshape,
    "Transpose": _transpose,
    "Unsqueeze": _reshape,
}


def permutation_of(transpose: ir.Node) -> list[int]:
    """Which axis of the input each axis of a Transpose's output is; without the attribute the order is reversed."""
    edge = Edge(transpose, 0)
    return edge.integers("perm") or list(reversed(range(edge.rank(0))))
