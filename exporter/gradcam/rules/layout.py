"""Operators that only move elements about, repeat them, or leave some out."""

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import onnx_ir as ir

from exporter.gradcam.operators import Operators, ints, sample_shape
from exporter.gradcam.rules.cotangent import along
from exporter.gradcam.rules.edge import Edge, Rule

_UNBOUNDED = 2**31 - 1  # an end from here on means: as far as it goes
_COPYING: dict[str, Literal["edge", "reflect", "wrap"]] = {"edge": "edge", "reflect": "reflect", "wrap": "wrap"}


def _identity(_op: Operators, _edge: Edge, cotangent: ir.Value) -> ir.Value:
    """y = x (also Cast: what carries a derivative is float32 before and after): x̄ = ȳ [N, M, ...]."""
    return cotangent


def _dropout(_op: Operators, edge: Edge, cotangent: ir.Value) -> ir.Value:
    """y = x outside of training: x̄ = ȳ [N, M, ...]."""
    if edge.has(2) and (edge.constant(2) is None or edge.constant(2)):
        raise edge.refusal("it is in training mode")
    return cotangent


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


def _concat(op: Operators, edge: Edge, cotangent: ir.Value) -> ir.Value:
    """y = [a, b, ...] along an axis: ā, b̄, ... are the parts of ȳ along it, one axis further right."""
    axis = _axis(edge)
    sizes = [sample_shape(edge.operand(index))[axis - 1] for index in range(edge.input + 1)]
    return op.Slice(cotangent, ints(sum(sizes[:-1])), ints(sum(sizes)), ints(axis + 1))


def _split(op: Operators, edge: Edge, cotangent: ir.Value) -> ir.Value:
    """x = [y₀, y₁, ...] along an axis: x̄ is ȳ in its place among zeros; what comes through other outputs is added."""
    axis = _axis(edge)
    sizes = [sample_shape(output)[axis - 1] for output in edge.node.outputs[: edge.output + 1]]
    return _placed(op, edge, cotangent, {axis: range(sum(sizes[:-1]), sum(sizes))})


def _slice(op: Operators, edge: Edge, cotangent: ir.Value) -> ir.Value:
    """y = every step-th element of x from start to end along some axes: x̄ is ȳ in these places among zeros."""
    starts, ends = _integers(edge, 1), _integers(edge, 2)
    axes = _integers(edge, 3) if edge.has(3) else list(range(len(starts)))
    steps = _integers(edge, 4) if edge.has(4) else [1] * len(starts)
    rank, places = edge.rank(0), {}
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if axis % rank != 0:
            places[axis % rank] = range(*slice(start, end, step).indices(sample_shape(edge.x)[axis % rank - 1]))
        elif (start, step) != (0, 1) or end < _UNBOUNDED:
            raise edge.refusal("it leaves out pictures of the batch")
    return _placed(op, edge, cotangent, places)


def _gather(op: Operators, edge: Edge, cotangent: ir.Value) -> ir.Value:
    """y = the elements of x at constant indices along an axis: x̄ is ȳ in these places among zeros.

    An element that is taken several times gets the sum.
    An index that is a single number takes the axis away; ȳ gets it back first.
    """
    axis = _axis(edge)
    indices = edge.constant(1)
    if indices is None or indices.ndim > 1:
        raise edge.refusal("its indices are no constant list")
    if indices.ndim == 0:
        cotangent = op.Unsqueeze(cotangent, ints(axis + 1))
    size = sample_shape(edge.x)[axis - 1]
    return _placed(op, edge, cotangent, {axis: [int(index) % size for index in indices.reshape(-1)]})


def _pad(op: Operators, edge: Edge, cotangent: ir.Value) -> ir.Value:
    """y = x with more elements at its ends: x̄ is ȳ without them, which is a padding by as many less than none.

    Elements that are not constants but copies of others (modes reflect, edge, wrap) give these what they get.
    """
    if edge.input != 0:
        raise edge.refusal("what it adds depends on the picture")
    rank, pads, sizes = edge.rank(0), _integers(edge, 1), sample_shape(edge.x)
    axes = [axis % rank for axis in _integers(edge, 3)] if edge.has(3) else list(range(rank))
    ends = {axis: pads[number :: len(axes)] for number, axis in enumerate(axes) if any(pads[number :: len(axes)])}
    if 0 in ends:
        raise edge.refusal("it adds pictures to the batch")
    mode = edge.text("mode", "constant")
    if mode == "constant":
        return _padded(op, edge, cotangent, {axis: (-before, -after) for axis, (before, after) in ends.items()})
    if min(pads) < 0:
        raise edge.refusal(f"it cuts off some elements and copies others (mode {mode})")
    copied = {axis: np.pad(np.arange(sizes[axis - 1]), pair, _COPYING[mode]).tolist() for axis, pair in ends.items()}
    return _placed(op, edge, cotangent, copied)


RULES: dict[str, Rule] = {
    "Cast": _identity,
    "Concat": _concat,
    "Dropout": _dropout,
    "Flatten": _reshape,
    "Gather": _gather,
    "Identity": _identity,
    "Pad": _pad,
    "Reshape": _reshape,
    "Slice": _slice,
    "Split": _split,
    "Squeeze": _reshape,
    "Transpose": _transpose,
    "Unsqueeze": _reshape,
}


def permutation_of(transpose: ir.Node) -> list[int]:
    """Which axis of the input each axis of a Transpose's output is; without the attribute the order is reversed."""
    edge = Edge(transpose, 0)
    return edge.integers("perm") or list(reversed(range(edge.rank(0))))


def _axis(edge: Edge) -> int:
    """The axis that the operator works along, which must not be that of the batch."""
    axis = edge.integer("axis", 0) % edge.rank(edge.input)
    if axis == 0:
        raise edge.refusal("it works along the axis of the batch")
    return axis


def _integers(edge: Edge, index: int) -> list[int]:
    """The constant input number `index`."""
    values = edge.constant(index)
    if values is None:
        raise edge.refusal(f"its input {index} is computed at run time")
    return [int(value) for value in values.reshape(-1)]


def _placed(op: Operators, edge: Edge, cotangent: ir.Value, places: Mapping[int, Sequence[int]]) -> ir.Value:
    """ȳ, of which element j along an axis belongs at places[axis][j] of x: x̄ is 0 elsewhere, a sum where several belong.

    Along an axis where the places follow each other this is a padding, else a product with a matrix of zeros and ones.
    """
    sizes = list(sample_shape(edge.x))
    whole = dict(enumerate(sizes, start=1))
    pads = {}
    for axis, taken in places.items():
        sizes[axis - 1] = len(taken)
        if list(taken) == list(range(taken[0], taken[0] + len(taken))):
            pads[axis] = taken[0], whole[axis] - taken[0] - len(taken)
    for axis, taken in places.items():
        if axis not in pads:
            sizes[axis - 1] = whole[axis]
            matrix = np.eye(whole[axis], dtype=np.float32)[list(taken)]
            cotangent = along(op, cotangent, axis, len(taken), matrix, tuple(sizes))
    return _padded(op, edge, cotangent, pads)


def _padded(op: Operators, edge: Edge, cotangent: ir.Value, pads: Mapping[int, Sequence[int]]) -> ir.Value:
    """ȳ with zeros before and after along each axis of the tensor that is in `pads`; negative numbers cut off.

    All axes are listed: an optimisation of ONNX Runtime (1.31) mistakes the pads of some axes for those of all.
    """
    ends = np.zeros((2, edge.rank(0) + 1), np.int64)
    for axis, pair in pads.items():
        ends[:, axis + 1] = pair
    return op.Pad(cotangent, ends.reshape(-1)) if ends.any() else cotangent
