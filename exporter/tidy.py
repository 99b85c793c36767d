"""Shapes that are known at export, written down as constants.

Converters compute the shape of a flattening from the picture at run time: Shape, Gather, Cast, Slice, Concat, Cast, of which each
costs about a microsecond a call, together 6 % of a 28 x 28 network. Only the size of the batch varies, and a Reshape works
that out by itself.
"""

import numpy as np
import onnx
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass, ShapeInferencePass


def tidy(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph without the arithmetic of shapes that are known."""
    program = ShapeInferencePass()(ir.from_proto(model)).model
    for node in program.graph:
        sizes = _sizes(node.outputs[0]) if node.op_type == "Reshape" else None
        if sizes is not None and ir.convenience.get_const_tensor(_shape_of(node)) is None:
            constant = ir.val(f"{node.outputs[0].name}/shape", const_value=ir.tensor(np.array([-1, *sizes], np.int64)))
            program.graph.register_initializer(constant)
            node.replace_input_with(1, constant)
    RemoveUnusedNodesPass()(program)
    return ir.to_proto(program)


def _shape_of(reshape: ir.Node) -> ir.Value:
    value = reshape.inputs[1]
    assert value is not None, "a Reshape without a shape is not valid ONNX"  # noqa: S101
    return value


def _sizes(value: ir.Value) -> list[int] | None:
    """All sizes but the first, when that one alone varies."""
    sizes = [] if value.shape is None else list(value.shape)
    known = [size for size in sizes[1:] if isinstance(size, int) and size > 0]
    return known if sizes and not isinstance(sizes[0], int) and len(known) == len(sizes) - 1 else None
