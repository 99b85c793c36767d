"""A classifier's graph with Grad-CAM compiled in.

    before   pixels u8 [N, H, W, C]                            -> one output: Softmax [N, K], or Sigmoid [N, 1]
    after    pixels u8 [N, H, W, C], targets i64 [N, M]        -> probabilities f32 [N, K], heatmaps f32 [N, M, h, w]

The forward pass stays as it is and `probabilities` depends on no target. With no targets (M = 0) the tensors of the backward
pass have no elements, so a plain prediction does not pay for the explanations beside it. The backward pass starts at the
score before the softmax or sigmoid, covers the head only (what follows the feature map), and reuses what the forward pass
has computed.

A target t >= 0 is class t; t = -1-r is the class ranked r-th by probability, the lower class first where two are equal. A
target that names no class (t >= K or r >= K) has no evidence: its map is all 0. The server refuses such a request before
it comes here, but whatever arrives, no other picture of the batch is disturbed.
"""

from dataclasses import dataclass

import numpy as np
import onnx
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass, ShapeInferencePass

from bundle.manifest import Kind
from exporter.errors import UnsupportedGraphError
from exporter.gradcam import feature_map
from exporter.gradcam.backward import gradient, path
from exporter.gradcam.feature_map import Map
from exporter.gradcam.operators import Operators, ints, sample_shape
from exporter.gradcam.receptive_field import Extent, extent

OPSET = 18  # ReduceMax with axes as an input, ScatterElements with a sum

_ONE, _ZERO = np.float32(1), np.float32(0)


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


def explain(model: onnx.ModelProto, tensor: str | None = None) -> Explained:
    """Adds `targets` and `heatmaps` to a classifier of opset 18 or later whose one input is `pixels`.

    `tensor` names the feature map; None looks for it (`feature_map.find`). Raises UnsupportedGraphError when the graph
    does not end in a softmax or a single sigmoid, has no such map, or an operator of its head has no rule.
    """
    program = ShapeInferencePass()(ir.from_proto(model)).model
    graph = program.graph
    if graph.opset_imports[""] < OPSET:
        raise UnsupportedGraphError(f"the graph is of opset {graph.opset_imports['']}; export it with opset {OPSET}")
    op = Operators(graph, "gradcam")
    kind, labels, score, probabilities = _classes(op, graph)
    chosen = _named(graph, tensor) if tensor else feature_map.find(graph, graph.inputs[0], score)
    place = extent(graph, graph.inputs[0], chosen)
    targets = ir.val("targets", ir.DataType.INT64, ["N", "M"])
    seed = _seed(op, targets, probabilities, labels)
    cotangent = gradient(op, path(graph, chosen.tensor, score), score, seed, chosen.tensor)
    heatmaps = _heatmaps(op, chosen, cotangent)
    _declare(graph, targets, probabilities, labels, heatmaps, chosen)
    RemoveUnusedNodesPass()(program)
    proto = ir.to_proto(program)
    del proto.graph.value_info[:]  # they call the batch by different names, and engines infer them anyway
    return Explained(proto, kind, labels, chosen.tensor.name or "", chosen.height, chosen.width, chosen.channels, place)


def _classes(op: Operators, graph: ir.Graph) -> tuple[Kind, int, ir.Value, ir.Value]:
    """Kind of the classifier, K, and its scores and probabilities, both f32 [N, K].

    One sigmoid p of a logit z answers two classes, [1-p, p], with the scores [-z, z]: their sigmoids.
    """
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise UnsupportedGraphError(
            f"a classifier has one input and one output, this graph has {len(graph.inputs)} and {len(graph.outputs)}"
        )
    output = graph.outputs[0]
    final = output.producer()
    while final is not None and final.op_type == "Identity" and final.inputs[0] is not None:
        final = final.inputs[0].producer()
    score = final.inputs[0] if final is not None and final.op_type in ("Softmax", "Sigmoid") else None
    if final is None or score is None or score.shape is None or len(score.shape) != 2:
        raise UnsupportedGraphError(
            f"output {output.name!r} is not a softmax or sigmoid over [N, K]; end the model in one of them"
        )
    labels = score.shape[1]
    if final.op_type == "Softmax" and isinstance(labels, int) and labels > 1:
        return "multiclass", labels, score, output
    if final.op_type == "Sigmoid" and labels == 1:
        both = op.MatMul(score, np.array([[-1, 1]], np.float32))
        both.type, both.shape = score.type, ir.Shape(["N", 2])
        return "binary", 2, both, op.Concat(op.Sub(_ONE, output), output, axis=1)
    raise UnsupportedGraphError(
        f"output {output.name!r} is a {final.op_type} over {labels} values; a classifier has a softmax over two or more, "
        "or one sigmoid"
    )


def _named(graph: ir.Graph, tensor: str) -> Map:
    value = next((output for node in graph for output in node.outputs if output.name == tensor), None)
    chosen = None if value is None else feature_map.as_map(value)
    if chosen is None:
        raise UnsupportedGraphError(f"tensor {tensor!r} is not a spatial map of the graph; choose another with --layer")
    return chosen


def _seed(op: Operators, targets: ir.Value, probabilities: ir.Value, labels: int) -> ir.Value:
    """The gradient of the explained scores with respect to all scores: f32 [N, M, K], one 1 in each row.

    Column K of `ranking` stands for "no such class", so that no index is ever out of range.
    """
    order = op.node("TopK", [probabilities, ints(labels)], {"axis": 1}, outputs=2).outputs[1]
    ranking = op.Pad(order, ints(0, 0, 0, 1), np.int64(labels))
    rank = op.Clip(op.Sub(np.int64(-1), targets), np.int64(0), np.int64(labels))
    ranked = op.GatherElements(ranking, rank, axis=1)
    classes = op.Where(op.Less(targets, np.int64(0)), ranked, targets)
    chosen = op.Equal(op.Unsqueeze(classes, ints(2)), np.arange(labels, dtype=np.int64).reshape(1, 1, -1))
    return op.Cast(chosen, to=int(ir.DataType.FLOAT))


def _heatmaps(op: Operators, chosen: Map, cotangent: ir.Value) -> ir.Value:
    """Grad-CAM: A [N, C, h, w] and its gradient [N, M, C, h, w] -> heatmaps f32 [N, M, h, w], 0..1.

    w = mean of the gradient over space [N, M, C];  L = relu(w A) [N, M, h*w];  heatmap = L / max L, or 0 where L is.
    """
    spatial = [axis for axis in (2, 3, 4) if axis != chosen.channel_axis + 1]
    weights = op.ReduceMean(cotangent, ints(*spatial), keepdims=0)
    maps = chosen.tensor if chosen.channel_axis == 1 else op.Transpose(chosen.tensor, perm=[0, 3, 1, 2])
    evidence = op.Relu(op.MatMul(weights, op.Reshape(maps, ints(0, 0, chosen.height * chosen.width))))
    peak = op.ReduceMax(evidence, ints(2), keepdims=1)
    scaled = op.Div(evidence, op.Where(op.Greater(peak, _ZERO), peak, _ONE))
    return op.Reshape(scaled, ints(0, 0, chosen.height, chosen.width))


def _declare(
    graph: ir.Graph, targets: ir.Value, probabilities: ir.Value, labels: int, heatmaps: ir.Value, chosen: Map
) -> None:
    """Names, types and shapes of the graph's inputs and outputs, as in bundle.manifest.signature."""
    pixels, output = graph.inputs[0], graph.outputs[0]
    pixels.name, pixels.shape = "pixels", ir.Shape(["N", *sample_shape(pixels)])
    if output is not probabilities:
        output.name = "gradcam/probability"
    for value, name, shape in (
        (probabilities, "probabilities", ir.Shape(["N", labels])),
        (heatmaps, "heatmaps", ir.Shape(["N", "M", chosen.height, chosen.width])),
    ):
        value.name, value.shape, value.type = name, shape, ir.TensorType(ir.DataType.FLOAT)
    graph.inputs.append(targets)
    graph.outputs[:] = [probabilities, heatmaps]
