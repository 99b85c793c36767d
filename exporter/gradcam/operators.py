"""A little language for writing ONNX operators, so that the rules read like the mathematics they implement."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from exporter.errors import UnsupportedGraphError

Operand = ir.Value | NDArray[np.generic] | np.generic
Attribute = ir.Attr | int | float | str | Sequence[int]


class Operators:
    """Appends operators to a graph: `op.MatMul(a, b)` adds a MatMul node and returns its output.

    NumPy arrays and scalars among the operands become initialisers, shared when they are equal. Everything that is added is named
    `<prefix>/<operator>_<number>`.
    """

    def __init__(self, graph: ir.Graph, prefix: str) -> None:
        self._graph = graph
        self._prefix = prefix
        self._count = 0
        self._constants: dict[tuple[str, tuple[int, ...], bytes], ir.Value] = {}

    def __getattr__(self, op_type: str) -> Callable[..., ir.Value]:
        if not op_type[0].isupper():
            raise AttributeError(op_type)

        def append(*inputs: Operand, **attributes: Attribute) -> ir.Value:
            return self.node(op_type, inputs, attributes).outputs[0]

        return append

    def node(
        self, op_type: str, inputs: Sequence[Operand], attributes: Mapping[str, Attribute], outputs: int = 1
    ) -> ir.Node:
        """Appends an operator that has several outputs, or whose attributes are copied from another node."""
        operands = [value if isinstance(value, ir.Value) else self._constant(np.asarray(value)) for value in inputs]
        name = self._name(op_type)
        node = ir.node(op_type, operands, attributes, num_outputs=outputs, name=name)
        for index, output in enumerate(node.outputs):
            output.name = name if index == 0 else f"{name}:{index}"
        self._graph.append(node)
        return node

    def _name(self, kind: str) -> str:
        self._count += 1
        return f"{self._prefix}/{kind}_{self._count}"

    def _constant(self, array: NDArray[np.generic]) -> ir.Value:
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            value = ir.val(self._name("constant"), const_value=ir.tensor(array))
            self._graph.register_initializer(value)
            self._constants[key] = value
        return self._constants[key]


def ints(*values: int) -> NDArray[np.int64]:
    """A list of axes or sizes as ONNX takes it: int64 [len(values)]."""
    return np.array(values, np.int64)


def sample_shape(value: ir.Value) -> tuple[int, ...]:
    """The sizes of all axes of `value` but the first, which is the batch.

    Raises UnsupportedGraphError when one of them is not known at export.
    """
    sizes = [] if value.shape is None else list(value.shape)[1:]
    if value.shape is None or not all(isinstance(size, int) for size in sizes):
        raise UnsupportedGraphError(
            f"tensor {value.name!r} has shape {value.shape}; Grad-CAM needs every size but the batch to be fixed: "
            "export the model with a fixed picture size"
        )
    return tuple(size for size in sizes if isinstance(size, int))
