"""Where in the picture the cells of a feature map look.

A cell of a convolutional map sees a window of the input, its receptive field. The windows of neighbouring cells lie a fixed
step apart, so a map has a place in the picture: each cell stands for the step-sized square around the centre of its window
(Araujo, Norris and Sim, "Computing Receptive Fields of Convolutional Neural Networks", Distill 2019). With padding that
keeps sizes the map covers the whole picture; without, it covers an inner part of it, and a heatmap stretched over the whole
would point beside what it means (a 4x12 map of a 90x160 picture: by up to 26 pixels).
"""

from dataclasses import dataclass

import onnx_ir as ir

from exporter.gradcam.feature_map import Map, as_map
from exporter.gradcam.rules.edge import Edge
from exporter.gradcam.rules.window import windows

Extent = tuple[float, float, float, float]  # left, top, right, bottom in input pixels

_WINDOWED = {"Conv", "MaxPool", "AveragePool"}


@dataclass(frozen=True)
class _Axis:
    """Along one axis of the picture, in input pixels: the step between cells and the centre of the first one's window."""

    step: float
    first: float

    def windowed(self, kernel: int, stride: int, padding: int) -> "_Axis":
        """After an operator that looks at `kernel` cells at a time, `stride` apart, the first `padding` outside."""
        return _Axis(self.step * stride, self.first + self.step * ((kernel - 1) / 2 - padding))


def extent(graph: ir.Graph, pixels: ir.Value, found: Map) -> Extent:
    """The part of the input, `pixels` [N, H, W, C], that the cells of the map stand for; it may reach beyond the edge.

    Where paths of different geometry meet, the first counts: they differ by a fraction of a cell. A map that is reached
    through an operator that moves things about in space is taken to cover the whole input.
    """
    picture = as_map(pixels, any_type=True)
    whole = (0.0, 0.0, float(picture.width), float(picture.height)) if picture else (0.0, 0.0, 1.0, 1.0)
    places = {pixels: (_Axis(1, 0.5), _Axis(1, 0.5))}
    for node in graph:
        source = next((value for value in node.inputs if value in places), None)
        if source is not None and (after := _after(node, source, places[source])) is not None:
            places[node.outputs[0]] = after
        if found.tensor in places:
            break
    if found.tensor not in places:
        return whole
    down, across = places[found.tensor]
    left, top = across.first - across.step / 2, down.first - down.step / 2
    return left, top, left + found.width * across.step, top + found.height * down.step


def _after(node: ir.Node, source: ir.Value, before: tuple[_Axis, _Axis]) -> tuple[_Axis, _Axis] | None:
    """The geometry (down, across) of a node's output; None when it is no map or not known."""
    entering, leaving = as_map(source, any_type=True), as_map(node.outputs[0], any_type=True)
    if entering is None or leaving is None:
        return None
    sizes = (entering.height, entering.width), (leaving.height, leaving.width)
    if node.op_type == "Pad":
        return _after_padding(node, entering, before)
    if node.op_type not in _WINDOWED:
        return before if sizes[0] == sizes[1] else None
    down, across = (
        axis.windowed((window.kernel - 1) * window.dilation + 1, window.stride, window.before)
        for axis, window in zip(before, windows(Edge(node, 0)), strict=True)
    )
    return down, across


def _after_padding(node: ir.Node, entering: Map, before: tuple[_Axis, _Axis]) -> tuple[_Axis, _Axis] | None:
    """A Pad puts cells before the first one, as ZeroPadding2D before a convolution without padding does."""
    edge = Edge(node, 0)
    pads, axes = edge.constant(1), edge.constant(3)
    if pads is None or (axes is None and edge.has(3)):
        return None
    padded = range(4) if axes is None else [int(axis) % 4 for axis in axes]
    ahead = dict(zip(padded, pads[: len(pads) // 2].tolist(), strict=True))
    rows, columns = (axis for axis in (1, 2, 3) if axis != entering.channel_axis)
    down, across = before
    return down.windowed(1, 1, ahead.get(rows, 0)), across.windowed(1, 1, ahead.get(columns, 0))
