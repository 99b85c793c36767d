"""The graph files of a bundle: one that explains, one that only predicts, and the weights that both read.

An engine runs every node of a graph, also for outputs that nobody asked for, and a plain prediction must not pay for the
explanations beside it. Four ways were measured, as CPU time of a plain prediction in terms of the same model without explanations
(batch 1 and 8; the smallest network, 28 x 28, where every operator's microsecond shows; `make bench-explain` has the others):

    one graph, asked for no targets (M = 0)                    1.17    1.05    the backward pass, on tensors without elements
    one graph, RunOptions.only_execute_path_to_fetches         1.13    1.04    for one target; honoured by training builds only
    one graph, the backward pass in an If                      1.10    1.02    and an explanation costs 5 % more
    two graphs                                                 1.00    0.97

Two graphs it is. The files are a few kilobytes, the weights lie beside them once. What it costs is memory: an engine rearranges
weights for its kernels, so that each of the two sessions has its own (18 MB more for MobileNetV2, 140 for ResNet50, 635
for VGG16). On networks that large the first way would do as well; a second way of doing it was not worth their memory.
"""

from pathlib import Path

import onnx
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from bundle.manifest import ONNX_MODEL, PREDICT_MODEL, WEIGHTS

# Smaller tensors (shapes, axes, biases) stay in the graph, where shape inference needs to see them.
_OUTSIDE_BYTES = 1024


def write(explained: onnx.ModelProto, folder: Path) -> None:
    """Writes model.onnx, predict.onnx and weights.bin of the graph that `explain` made."""
    path = folder / ONNX_MODEL
    ir.save(ir.from_proto(explained), path, external_data=WEIGHTS, size_threshold_bytes=_OUTSIDE_BYTES)
    ir.save(_prediction(ir.load(path)), folder / PREDICT_MODEL)


def _prediction(model: ir.Model) -> ir.Model:
    """The part of the graph that leads from pixels to probabilities."""
    graph = model.graph
    graph.inputs[:] = [value for value in graph.inputs if value.name == "pixels"]
    graph.outputs[:] = [value for value in graph.outputs if value.name == "probabilities"]
    RemoveUnusedNodesPass()(model)
    return model
