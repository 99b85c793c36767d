"""16-bit floating point for GPUs: half the memory traffic, and matrix units that float32 does not have.

Written on the graph itself: weights become float16, and casts stand where the network proper begins and ends (exporter.optimise.network),
so that pixels are still uint8, and probabilities and heatmaps float32 with all their digits.
"""

import numpy as np
import onnx
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from exporter.optimise import network

# Inputs that the ONNX standard wants in float32 whatever the type of the others.
_ALWAYS_FLOAT32 = {"Resize": (1, 2)}
_LARGEST = float(np.finfo(np.float16).max)


def halved(explained: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with explanations, its forward pass in float16. Raises ExportError when there is nothing to halve."""
    program = network.named(explained)
    nodes = network.inner(program)
    _Halving(program.graph, nodes).run()
    RemoveUnusedNodesPass()(program)  # the weights in float32
    return network.without_shapes(ir.to_proto(program))


class _Halving:
    """One walk over the nodes; a value that several of them read is cast once."""

    def __init__(self, graph: ir.Graph, nodes: list[ir.Node]) -> None:
        self._graph, self._nodes, self._inside = graph, nodes, set(nodes)
        self._halves: dict[ir.Value, ir.Value] = {}

    def run(self) -> None:
        for node in self._nodes:
            for index, value in enumerate(node.inputs):
                if value is not None and _is_float32(value) and index not in _ALWAYS_FLOAT32.get(node.op_type, ()):
                    node.replace_input_with(index, self._half(value, node))
        for node in self._nodes:
            self._widen(node)

    def _half(self, value: ir.Value, node: ir.Node) -> ir.Value:
        """What `node` reads in place of `value`."""
        if value.producer() in self._inside:
            return value  # becomes float16 where it stands
        if value not in self._halves:
            self._halves[value] = self._constant(value) or self._cast(value, ir.DataType.FLOAT16, before=node)
        return self._halves[value]

    def _constant(self, value: ir.Value) -> ir.Value | None:
        tensor = ir.convenience.get_const_tensor(value)
        if tensor is None:
            return None
        numbers = np.clip(tensor.numpy(), -_LARGEST, _LARGEST).astype(np.float16)
        half = ir.val(f"{value.name}/float16", const_value=ir.tensor(numbers))
        self._graph.register_initializer(half)
        return half

    def _widen(self, node: ir.Node) -> None:
        """Makes the outputs of `node` float16, and float32 again for those outside who read them."""
        if node.op_type == "Cast" and node.attributes["to"].as_int() == ir.DataType.FLOAT:
            node.attributes["to"] = ir.AttrInt64("to", ir.DataType.FLOAT16)
        for output in (output for output in node.outputs if _is_float32(output)):
            output.type = ir.TensorType(ir.DataType.FLOAT16)
            outside = [use for use in output.uses() if use.node not in self._inside]
            if outside:
                wide = self._cast(output, ir.DataType.FLOAT, after=node)
                for use in outside:
                    use.node.replace_input_with(use.idx, wide)

    def _cast(
        self, value: ir.Value, to: ir.DataType, before: ir.Node | None = None, after: ir.Node | None = None
    ) -> ir.Value:
        name = f"{value.name}/{to.name.lower()}"
        cast = ir.node("Cast", [value], {"to": to}, outputs=[ir.val(name, to)], name=name)
        if before is not None:
            self._graph.insert_before(before, cast)
        elif after is not None:
            self._graph.insert_after(after, cast)
        return cast.outputs[0]


def _is_float32(value: ir.Value) -> bool:
    tensor = ir.convenience.get_const_tensor(value)
    return (value.dtype if tensor is None else tensor.dtype) == ir.DataType.FLOAT
