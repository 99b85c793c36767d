"""The graph files of a bundle: one that explains, one that only predicts, and the weights that both read.

An engine runs every node of a graph, also for outputs that nobody asked for. A plain prediction therefore has a graph of its own,
the same forward pass without the backward one. Both are a few kilobytes; the weights lie beside them once.
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
