"""The batch as the first axis of every tensor.

Transformers are often written with queries, keys and values in front of the batch:

    Reshape [N, T, 3, H, D] -> Transpose [3, N, H, T, D] -> Gather, Slice or Split -> three of [N, H, T, D]

The rules of exporter.gradcam keep the pictures of a batch apart by their first axis. So these few operators are rewritten to
leave it in front, [N, 3, H, T, D], which changes none of their values and costs nothing.
"""

from collections.abc import Callable, Sequence

import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from exporter.from_onnx import shapes
from exporter.gradcam.operators import Operators, ints
from exporter.gradcam.rules.edge import Edge
from exporter.gradcam.rules.layout import permutation_of

# The new outputs of an operator, and the axis at which the graph as it was written has their batch.
_Outputs = tuple[int, Sequence[ir.Value]]


def rewritten(model: ir.Model) -> ir.Model | None:
    """`model`, whose shapes are known, with the batch in front; None when it is there already, or cannot be."""
    model = model.clone()
    op = Operators(model.graph, "batch_first")
    stored: dict[ir.Value, tuple[int, ir.Value]] = {}  # with the batch in front, which was at this axis
    for node in shapes.dependent(model.graph):
        made = _made(op, node, stored)
        if made is None and any(value in stored for value in node.inputs):
            return None
        batch, outputs = made or (0, ())
        for output, new in zip(node.outputs, outputs, strict=False):
            if batch:
                stored[output] = batch, new
            else:
                output.replace_all_uses_with(new, replace_graph_outputs=True)
    model.graph.sort()
    RemoveUnusedNodesPass()(model)
    return model if stored else None


def _made(op: Operators, node: ir.Node, stored: dict[ir.Value, tuple[int, ir.Value]]) -> _Outputs | None:
    """What `node` puts out with the batch in front; None when it does already, or cannot."""
    source = node.inputs[0]
    if source is None or source.dtype != ir.DataType.FLOAT or source.shape is None or node.op_type not in _RULES:
        return None
    batch, value = stored.get(source, (0, source))
    made = _RULES[node.op_type](op, Edge(node, 0), batch, value)
    return made if batch or (made and made[0]) else None


def _order(batch: int, rank: int) -> list[int]:
    """The axes of a tensor as it was written, in the order in which they are stored: the batch, then the others."""
    return [batch, *(axis for axis in range(rank) if axis != batch)]


def _transpose(op: Operators, edge: Edge, batch: int, value: ir.Value) -> _Outputs:
    permutation, before = permutation_of(edge.node), _order(batch, edge.rank(0))
    after = permutation.index(batch)
    moved = [before.index(permutation[axis]) for axis in _order(after, len(before))]
    return after, [op.Transpose(value, perm=moved)]


def _gather(op: Operators, edge: Edge, batch: int, value: ir.Value) -> _Outputs | None:
    axis, indices = edge.integer("axis", 0) % edge.rank(0), edge.constant(1)
    if indices is None or indices.ndim > 1 or axis == batch:
        return None
    after = batch - (indices.ndim == 0 and axis < batch)
    return after, [op.Gather(value, indices, axis=_order(batch, edge.rank(0)).index(axis))]


def _split(op: Operators, edge: Edge, batch: int, value: ir.Value) -> _Outputs | None:
    axis = edge.integer("axis", 0) % edge.rank(0)
    if axis == batch:
        return None
    sizes = [size] if (size := edge.constant(1)) is not None else []
    counted = {name: edge.integer(name, 0) for name in ("num_outputs",) if name in edge.node.attributes}
    attributes = {"axis": _order(batch, edge.rank(0)).index(axis), **counted}
    return batch, op.node("Split", [value, *sizes], attributes, outputs=len(edge.node.outputs)).outputs


def _slice(op: Operators, edge: Edge, batch: int, value: ir.Value) -> _Outputs | None:
    axes = _axes(edge, 3, edge.rank(0))
    if axes is None or batch in axes:
        return None
    order = _order(batch, edge.rank(0))
    steps = [edge.operand(4)] if edge.has(4) else []
    places = ints(*(order.index(axis) for axis in axes))
    return batch, [op.Slice(value, edge.operand(1), edge.operand(2), places, *steps)]


def _squeeze(op: Operators, edge: Edge, batch: int, value: ir.Value) -> _Outputs | None:
    axes = _axes(edge, 1, edge.rank(0))
    if axes is None or batch in axes:
        return None
    order = _order(batch, edge.rank(0))
    return batch - sum(axis < batch for axis in axes), [op.Squeeze(value, ints(*(order.index(axis) for axis in axes)))]


def _unsqueeze(op: Operators, edge: Edge, batch: int, value: ir.Value) -> _Outputs | None:
    constant = edge.constant(1)
    axes = None if constant is None else _axes(edge, 1, edge.rank(0) + constant.size)
    if axes is None:
        return None
    rank = edge.rank(0) + len(axes)
    after = [axis for axis in range(rank) if axis not in axes][batch]
    order = _order(after, rank)
    return after, [op.Unsqueeze(value, ints(*sorted(order.index(axis) for axis in axes)))]


def _axes(edge: Edge, index: int, rank: int) -> list[int] | None:
    axes = edge.constant(index)
    return None if axes is None else [int(axis) % rank for axis in axes.reshape(-1)]


_RULES: dict[str, Callable[[Operators, Edge, int, ir.Value], _Outputs | None]] = {
    "Gather": _gather,
    "Slice": _slice,
    "Split": _split,
    "Squeeze": _squeeze,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
