"""What a rule is told about the operator that it differentiates."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from exporter.errors import UnsupportedGraphError
from exporter.gradcam.operators import Operators


@dataclass(frozen=True)
class Edge:
    """The dependence of one output of a node on one of its inputs: x and y in the formulas of the rules."""

    node: ir.Node
    input: int
    output: int = 0

    @property
    def x(self) -> ir.Value:
        """The input that the edge starts from."""
        return self.operand(self.input)

    @property
    def y(self) -> ir.Value:
        """The output that the edge leads to."""
        return self.node.outputs[self.output]

    def operand(self, index: int) -> ir.Value:
        """Input number `index`, which the operator cannot do without."""
        value = self.node.inputs[index]
        assert value is not None, f"{self.node.op_type} without its input {index} is not valid ONNX"  # noqa: S101
        return value

    def has(self, index: int) -> bool:
        """Whether the node has an input number `index`."""
        return index < len(self.node.inputs) and self.node.inputs[index] is not None

    def constant(self, index: int) -> NDArray[np.generic] | None:
        """The value of input number `index`, or None when it is computed at run time or left out."""
        tensor = ir.convenience.get_const_tensor(self.operand(index)) if self.has(index) else None
        return None if tensor is None else tensor.numpy()

    def fixed(self, index: int) -> bool:
        """Whether input number `index` has no axis for the pictures: all its sizes are known at export."""
        shape = self.operand(index).shape
        return shape is not None and all(isinstance(size, int) for size in shape)

    def rank(self, index: int) -> int:
        """The number of axes of input number `index`; raises UnsupportedGraphError when it is not known."""
        shape = self.operand(index).shape
        if shape is None:
            raise self.refusal(f"the rank of its input {index} is not known")
        return len(shape)

    def number(self, name: str, default: float) -> float:
        """A float attribute."""
        return self.node.attributes[name].as_float() if name in self.node.attributes else default

    def integer(self, name: str, default: int) -> int:
        """An int attribute."""
        return self.node.attributes[name].as_int() if name in self.node.attributes else default

    def integers(self, name: str) -> list[int] | None:
        """An attribute that is a list of ints; None without it."""
        return list(self.node.attributes[name].as_ints()) if name in self.node.attributes else None

    def text(self, name: str, default: str) -> str:
        """A string attribute."""
        return self.node.attributes[name].as_string() if name in self.node.attributes else default

    def refusal(self, reason: str) -> UnsupportedGraphError:
        """The error that says where the way back ends, why, and what to do."""
        return UnsupportedGraphError(
            f"no way back through operator {self.node.op_type} (node {self.node.name!r}) from the score to the feature "
            f"map: {reason}; choose a feature map after it with --layer"
        )


# (op, edge, ȳ) -> the part of x̄ that comes through this edge
Rule = Callable[[Operators, Edge, ir.Value], ir.Value]
