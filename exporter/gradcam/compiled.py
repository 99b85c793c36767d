"""A classifier's graph with its explanations compiled in.

    before   pixels u8 [N, H, W, C]                                  -> one output: softmax [N, K], or sigmoids
    after    pixels u8 [N, H, W, C], targets i64 [N, M]
             [, methods i64 [N, M], when there are several]          -> probabilities f32 [N, K], heatmaps f32 [N, M, h, w]

The forward pass stays as it is and `probabilities` depends on no target. The backward pass starts at the score before the
softmax or sigmoid, covers the head only (what follows the feature map), and reuses what the forward pass has computed.

A plain prediction does not pay for the explanations beside it: a bundle holds the forward pass as a graph of its own, with the
same weights (exporter.graphs).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import onnx
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass, ShapeInferencePass

from bundle.manifest import Kind, Method
from exporter.errors import UnsupportedGraphError
from exporter.gradcam import ending, feature_map, methods
from exporter.gradcam.ending import Ending
from exporter.gradcam.feature_map import Map
from exporter.gradcam.operators import Operators, sample_shape
from exporter.gradcam.receptive_field import Extent, extent
from exporter.gradcam.sensitivity import Sensitivity
from exporter.gradcam.targets import classes

OPSET = 18  # ReduceMax with axes as an input, ScatterElements with a sum


@dataclass(frozen=True)
class Explained:
    """What `explain` made of a model."""

    model: onnx.ModelProto
    kind: Kind
    labels: int
    tensor: str  # the feature map's name in the graph
    height: int
    width: int
    channels: int
    extent: Extent  # the part of the input that the map's cells stand for
    methods: tuple[Method, ...]


def explain(model: onnx.ModelProto, tensor: str | None = None, wanted: Sequence[Method] = ("gradcam",)) -> Explained:
    """Adds `targets` and `heatmaps` to a classifier of opset 18 or later whose one input is `pixels`.

    `tensor` names the feature map; None looks for it (`feature_map.find`). `wanted` are the methods that the graph is to
    carry, at least one. Raises UnsupportedGraphError when the graph does not end in a softmax or sigmoids, has no such map,
    or an operator of its head has no rule.
    """
    program = ShapeInferencePass()(ir.from_proto(model)).model
    graph = program.graph
    if graph.opset_imports[""] < OPSET:
        raise UnsupportedGraphError(f"the graph is of opset {graph.opset_imports['']}; export it with opset {OPSET}")
    op = Operators(graph, "gradcam")
    end = ending.find(op, graph)
    found = _named(graph, tensor) if tensor else feature_map.find(graph, graph.inputs[0], end.score)
    place = extent(graph, graph.inputs[0], found)
    targets, chosen = (ir.val(name, ir.DataType.INT64, ["N", "M"]) for name in ("targets", "methods"))
    inputs = [targets, chosen] if len(wanted) > 1 else [targets]
    explained = classes(op, targets, end.probabilities, end.labels)
    sensitivity = Sensitivity(op, graph, found, end.score, end.labels, explained)
    heatmaps = methods.heatmaps(op, found, sensitivity, wanted, chosen if len(wanted) > 1 else None)
    _declare(graph, inputs, end, heatmaps, found)
    RemoveUnusedNodesPass()(program)
    proto = ir.to_proto(program)
    del proto.graph.value_info[:]  # they call the batch by different names, and engines infer them anyway
    name = found.tensor.name or ""
    size = (found.height, found.width, found.channels)
    return Explained(proto, end.kind, end.labels, name, *size, place, tuple(wanted))


def _named(graph: ir.Graph, tensor: str) -> Map:
    value = next((output for node in graph for output in node.outputs if output.name == tensor), None)
    chosen = None if value is None else feature_map.as_map(value)
    if chosen is None:
        raise UnsupportedGraphError(f"tensor {tensor!r} is not a spatial map of the graph; choose another with --layer")
    return chosen


def _declare(graph: ir.Graph, added: list[ir.Value], end: Ending, heatmaps: ir.Value, found: Map) -> None:
    """Names, types and shapes of the graph's inputs and outputs, as in bundle.manifest.signature."""
    pixels, output = graph.inputs[0], graph.outputs[0]
    pixels.name, pixels.shape = "pixels", ir.Shape(["N", *sample_shape(pixels)])
    if output is not end.probabilities:
        output.name = "gradcam/given_output"
    for value, name, shape in (
        (end.probabilities, "probabilities", ir.Shape(["N", end.labels])),
        (heatmaps, "heatmaps", ir.Shape(["N", "M", found.height, found.width])),
    ):
        value.name, value.shape, value.type = name, shape, ir.TensorType(ir.DataType.FLOAT)
    graph.inputs.extend(added)
    graph.outputs[:] = [end.probabilities, heatmaps]
