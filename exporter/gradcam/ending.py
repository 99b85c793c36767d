"""How a classifier ends: its scores, its probabilities, and what kind it is.

The explained score is the one before the softmax or sigmoid (Selvaraju et al., section 3: "before the softmax"); after it, a
class's gradient would also carry what speaks against all others.
"""

import math
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from bundle.manifest import Kind
from exporter.errors import UnsupportedGraphError
from exporter.gradcam.operators import Operators, ints, sample_shape

# What may stand between the softmax and the output without changing a value.
_RENAMING = {"Cast", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"}


@dataclass(frozen=True)
class Ending:
    """The end of a classifier's graph."""

    kind: Kind
    labels: int  # K
    score: ir.Value  # f32 [N, K], before the softmax or sigmoid
    probabilities: ir.Value  # f32 [N, K]


def find(op: Operators, graph: ir.Graph) -> Ending:
    """Finds the ending of a graph with one input and one output, and brings both ends to the shape [N, K].

    One sigmoid p of a logit z answers two classes, [1-p, p], with the scores [-z, z]: their sigmoids. Raises
    UnsupportedGraphError for everything that is no classifier.
    """
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise UnsupportedGraphError(
            f"a classifier has one input and one output, this graph has {len(graph.inputs)} and {len(graph.outputs)}"
        )
    output = graph.outputs[0]
    final = activation_of(output)
    if final is None or final.op_type == "LogSoftmax" or final.inputs[0] is None:
        raise UnsupportedGraphError(
            f"output {output.name!r} is not a softmax or sigmoid over the classes; end the model in one of them"
        )
    labels = math.prod(sample_shape(output))
    if final.op_type == "Softmax" and labels > 1 and _softmax_size(final) == labels:
        kind: Kind = "multiclass"
    elif final.op_type == "Sigmoid":
        kind = "multilabel" if labels > 1 else "binary"
    else:
        raise UnsupportedGraphError(
            f"output {output.name!r} is a {final.op_type} over {_softmax_size(final)} of {labels} values; a classifier has "
            "a softmax over all of two or more, or sigmoids"
        )
    score, probabilities = (_flat(op, value, labels) for value in (final.inputs[0], output))
    if kind != "binary":
        return Ending(kind, labels, score, probabilities)
    both = _typed(op.MatMul(score, np.array([[-1, 1]], np.float32)), 2)
    return Ending(kind, 2, both, op.Concat(op.Sub(np.float32(1), probabilities), probabilities, axis=1))


def activation_of(output: ir.Value) -> ir.Node | None:
    """The softmax, its logarithm, or the sigmoid whose values the output has; None when it has others."""
    node = output.producer()
    while node is not None and node.op_type in _RENAMING and node.inputs[0] is not None:
        node = node.inputs[0].producer()
    return node if node is not None and node.op_type in ("Softmax", "LogSoftmax", "Sigmoid") else None


def _softmax_size(softmax: ir.Node) -> int:
    """Over how many values of a picture the softmax goes."""
    shape = sample_shape(softmax.outputs[0])
    axis = softmax.attributes["axis"].as_int() if "axis" in softmax.attributes else -1
    return shape[axis if axis < 0 else axis - 1] if axis else 0


def _flat(op: Operators, value: ir.Value, size: int) -> ir.Value:
    return value if sample_shape(value) == (size,) else _typed(op.Reshape(value, ints(0, size)), size)


def _typed(value: ir.Value, size: int) -> ir.Value:
    """Shape inference ran before this value was added."""
    value.type, value.shape = ir.TensorType(ir.DataType.FLOAT), ir.Shape(["N", size])
    return value
