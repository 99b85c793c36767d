"""One precision for all floating-point numbers of a graph.

Gradients are computed in float32, and the server chooses the precision of the whole graph by itself: a file in float16 is a way to
store weights. In float64 a graph can be measured by differences (exporter.from_onnx.differences).
"""

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import LiftConstantsToInitializersPass

_FLOATS = {ir.DataType.FLOAT16, ir.DataType.BFLOAT16, ir.DataType.FLOAT, ir.DataType.DOUBLE}
_TYPE_ATTRIBUTES = ("to", "dtype")


def has_other(model: ir.Model, wanted: ir.DataType) -> bool:
    """Whether `model` holds or makes floating-point numbers of another type than `wanted`."""
    values = [value for graph in model.graphs() for value in (*graph.inputs, *graph.initializers.values())]
    kinds = {value.dtype for value in values}
    kinds |= {made for graph in model.graphs() for node in graph if (made := _made(node)) is not None}
    return bool(kinds & (_FLOATS - {wanted}))


def convert(model: ir.Model, wanted: ir.DataType) -> None:
    """Makes every floating-point tensor of `model` a `wanted`, in place."""
    LiftConstantsToInitializersPass(lift_all_constants=True)(model)
    for graph in model.graphs():
        for value in (*graph.inputs, *graph.outputs):
            if value.dtype in _FLOATS:
                value.dtype = wanted
        for value in graph.initializers.values():
            if value.dtype in _FLOATS and value.const_value is not None:
                value.const_value = _as(value.const_value, wanted)
                value.dtype = wanted
        for node in graph:
            _convert_node(node, wanted)


def _convert_node(node: ir.Node, wanted: ir.DataType) -> None:
    for output in node.outputs:
        if output.dtype in _FLOATS:
            output.dtype = wanted
    for name in _TYPE_ATTRIBUTES:
        if name in node.attributes and node.attributes[name].as_int() in _FLOATS:
            node.attributes[name] = ir.AttrInt64(name, int(wanted))
    if node.op_type == "ConstantOfShape":
        filled = (
            node.attributes["value"].as_tensor() if "value" in node.attributes else ir.tensor(np.zeros(1, np.float32))
        )
        if filled.dtype in _FLOATS:
            node.attributes["value"] = ir.AttrTensor("value", _as(filled, wanted))


def _made(node: ir.Node) -> ir.DataType | None:
    """The type that an operator makes by its attributes, whatever goes in."""
    for name in _TYPE_ATTRIBUTES:
        if name in node.attributes:
            return ir.DataType(node.attributes[name].as_int())
    return None


def _as(tensor: ir.TensorProtocol, wanted: ir.DataType) -> ir.TensorProtocol:
    return ir.tensor(tensor.numpy().astype(wanted.numpy()), name=tensor.name)
