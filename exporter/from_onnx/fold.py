"""What a graph computes from constants alone, computed once.

PyTorch's exporter writes paddings and shapes as little programs of Slice, Cast and Concat. Shape inference does not run them, and a
rule for the way back through a Pad needs to see its amounts.
"""

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from onnx_ir.passes.common import LiftConstantsToInitializersPass, RemoveUnusedNodesPass

from exporter.from_onnx import shapes
from exporter.from_onnx.running import session


def constants(model: ir.Model) -> None:
    """Turns every tensor of `model` that depends on none of its inputs, and that an operator that does needs, into a constant."""
    LiftConstantsToInitializersPass(lift_all_constants=True)(model)
    wanted = _wanted(model.graph)
    if not wanted:
        return
    values = _compute(model, [value.name or "" for value in wanted])
    for value, array in zip(wanted, values, strict=True):
        folded = ir.val(f"{value.name}/folded", const_value=ir.tensor(array))
        model.graph.register_initializer(folded)
        value.replace_all_uses_with(folded)
    RemoveUnusedNodesPass()(model)


def _wanted(graph: ir.Graph) -> list[ir.Value]:
    nodes = shapes.dependent(graph)
    computed = {value for node in nodes for value in node.outputs}.union(graph.inputs)
    used = [value for node in nodes for value in node.inputs if value is not None and value.producer() is not None]
    return list(dict.fromkeys(value for value in used if value not in computed))


def _compute(model: ir.Model, names: list[str]) -> list[NDArray[np.generic]]:
    part = model.clone()
    values = {output.name: output for node in part.graph for output in node.outputs}
    part.graph.inputs.clear()
    part.graph.outputs[:] = [values[name] for name in names]
    RemoveUnusedNodesPass()(part)
    found: list[NDArray[np.generic]] = session(ir.to_proto(part)).run(names, {})
    return found
