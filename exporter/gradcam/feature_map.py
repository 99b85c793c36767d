"""Which tensor of a graph the heatmaps are computed on.

Grad-CAM takes the last convolutional activation: the deepest tensor that still says where something is. On the graph that is
the last map, wider or higher than one cell, through which all paths from the picture to the score pass (a dominator of
the score; a map beside a skip connection would see only part of the evidence). When the last such map is the output of
a pooling, the map that was pooled is taken, as Selvaraju et al. do (VGG-16: 14x14 before block5_pool, not 7x7 after it):
it is the same evidence at a finer grain.
"""

from dataclasses import dataclass

import onnx_ir as ir

from exporter.errors import UnsupportedGraphError
from exporter.gradcam.backward import path
from exporter.gradcam.operators import sample_shape
from exporter.gradcam.rules.layout import permutation_of

_POOLING = {"MaxPool", "AveragePool"}
# Another name or another order of the axes for the same map.
_SAME_MAP = {"Identity", "Transpose"}
# ONNX has these with the channels as axis 1 only.
_CHANNELS_FIRST = {"Conv", "MaxPool", "AveragePool", "GlobalAveragePool", "BatchNormalization"}


@dataclass(frozen=True)
class Map:
    """A spatial map of the graph: [N, C, h, w], or [N, h, w, C] when `channel_axis` is 3."""

    tensor: ir.Value
    channel_axis: int
    height: int
    width: int
    channels: int


def find(graph: ir.Graph, pixels: ir.Value, score: ir.Value) -> Map:
    """The map that Grad-CAM is to be computed on; raises UnsupportedGraphError when there is none."""
    for value in reversed(dominators(graph, pixels, score)):
        if (found := as_map(value)) is not None:
            return _before_pooling(found)
    raise UnsupportedGraphError(
        "there is no spatial map that every path from the pixels to the score passes through; name a layer whose output "
        "is one with --layer"
    )


def candidates(graph: ir.Graph, pixels: ir.Value, score: ir.Value) -> list[Map]:
    """The maps that every path from the pixels to the score passes through, in order: what `find` chooses from."""
    maps = (as_map(value) for value in dominators(graph, pixels, score) if value is not pixels)
    return [found for found in maps if found is not None]


def as_map(value: ir.Value, *, any_type: bool = False) -> Map | None:
    """`value` as a spatial map, or None when it is not one: not float32, unless `any_type`, not of rank 4, or one cell."""
    if value.shape is None or len(value.shape) != 4 or not (any_type or value.dtype == ir.DataType.FLOAT):
        return None
    channel_axis = _channel_axis(value)
    sizes = dict(enumerate(sample_shape(value), start=1))
    channels = sizes.pop(channel_axis)
    height, width = sizes.values()
    return Map(value, channel_axis, height, width, channels) if height * width > 1 else None


def dominators(graph: ir.Graph, source: ir.Value, target: ir.Value) -> list[ir.Value]:
    """The tensors that every differentiable path from `source` to `target` passes through, in order, both included.

    A sweep over the nodes keeps the tensors that are computed and still needed; where that is a single one, everything
    that follows depends on the source through it.
    """
    nodes = path(graph, source, target)
    uses = {source: 0, target: 1}
    for node in nodes:
        for value in node.inputs:
            if value is not None:
                uses[value] = uses.get(value, 0) + 1
    open_values, found = {source}, [source]
    for node in nodes:
        for value in node.inputs:
            if value is not None:
                uses[value] -= 1
        open_values.update(node.outputs)
        open_values = {value for value in open_values if uses.get(value, 0) > 0}
        if len(open_values) == 1:
            found.extend(open_values)
    return found


def _before_pooling(found: Map) -> Map:
    """Steps from the output of a pooling, or of a mere reordering, to the map that went into it."""
    producer = found.tensor.producer()
    while producer is not None and producer.op_type in _POOLING | _SAME_MAP:
        source = producer.inputs[0]
        before = None if source is None else as_map(source)
        if before is None:
            break
        found, producer = before, before.tensor.producer()
    return found


def _channel_axis(value: ir.Value) -> int:
    """Which axis of a rank-4 tensor holds the channels: told by the last operator that fixes it; 3 for the pixels."""
    producer = value.producer()
    if producer is None:
        return 3
    if producer.op_type in _CHANNELS_FIRST:
        return 1
    sources = [value for value in producer.inputs if value is not None and not value.is_initializer()]
    source = next((value for value in sources if value.shape is not None and len(value.shape) == 4), None)
    if source is None:
        return 1
    axis = _channel_axis(source)
    if producer.op_type == "Transpose":
        return permutation_of(producer).index(axis)
    return _axis_of_single_channel(source, axis, value) if producer.op_type == "Reshape" else axis


def _axis_of_single_channel(source: ir.Value, axis: int, reshaped: ir.Value) -> int:
    """The axis of the channel after a Reshape that moves a single one, as tf2onnx does instead of a Transpose."""
    before, after = list(sample_shape(source)), list(sample_shape(reshaped))
    spatial = before[: axis - 1] + before[axis:]
    for moved in (1, 3):
        if before[axis - 1] == after[moved - 1] == 1 and after[: moved - 1] + after[moved:] == spatial:
            return moved
    return axis
