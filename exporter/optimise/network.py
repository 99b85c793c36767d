"""Which part of a classifier may be computed in fewer bits: what lies between its first and its last weights.

What comes before is arithmetic on pixels, and what comes after makes probabilities of scores: both cost next to nothing, and in 8 bits
a probability would be known to 1/256 only. The explanation (nodes gradcam/...) reads the forward pass and stays float32: a
heatmap is scaled by its own maximum, which may be as small as it likes.
"""

import onnx
import onnx_ir as ir
from onnx_ir.passes.common import NameFixPass, ShapeInferencePass

from exporter.errors import ExportError

WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")

_EXPLAINING = "gradcam/"


def named(model: onnx.ModelProto) -> ir.Model:
    """The graph with types inferred and a name for every node: a model from elsewhere may lack them."""
    return NameFixPass()(ShapeInferencePass()(ir.from_proto(model)).model).model


def inner(program: ir.Model) -> list[ir.Node]:
    """The nodes of the forward pass from the first that has weights to the last, in order.

    Raises ExportError when there are none.
    """
    forward = [node for node in program.graph if not (node.name or "").startswith(_EXPLAINING)]
    after: set[ir.Node] = set()
    before: set[ir.Node] = set()
    for node in forward:
        if node.op_type in WEIGHTED or not after.isdisjoint(node.predecessors()):
            after.add(node)
    for node in reversed(forward):
        if node.op_type in WEIGHTED or not before.isdisjoint(node.successors()):
            before.add(node)
    found = [node for node in forward if node in after and node in before]
    if not found:
        raise ExportError(
            "the network has no convolution and no dense layer: there is nothing to compute in fewer bits"
        )
    return found


def without_shapes(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph without what was inferred of its inner values: engines infer it anyway, and plan buffers by it if it is there.

    The batch has other names in it than at the inputs, and types that values had before they lost precision.
    """
    del model.graph.value_info[:]
    return model
