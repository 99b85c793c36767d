"""Operators that treat every element alike."""

import numpy as np
import onnx_ir as ir

from exporter.gradcam.operators import Operators, ints, sample_shape
from exporter.gradcam.rules.edge import Edge, Rule

_CLASSES = ints(1)  # the axis of the M classes in a cotangent


def _identity(_op: Operators, _edge: Edge, cotangent: ir.Value) -> ir.Value:
    """y = x: x̄ = ȳ [N, M, ...]."""
    return cotangent


def _relu(op: Operators, edge: Edge, cotangent: ir.Value) -> ir.Value:
    """y = max(x, 0) of shape [N, ...]: x̄ = ȳ where y > 0, else 0 [N, M, ...]. The gradient at 0 is 0, as in Keras."""
    positive = op.Greater(edge.y, np.float32(0))
    return op.Where(op.Unsqueeze(positive, _CLASSES), cotangent, np.float32(0))


def _add(_op: Operators, edge: Edge, cotangent: ir.Value) -> ir.Value:
    """y = x + b: x̄ = ȳ [N, M, ...], for an x that is not broadcast."""
    if sample_shape(edge.x) != sample_shape(edge.y):
        raise edge.refusal("the input that depends on the picture is broadcast")
    return cotangent


RULES: dict[str, Rule] = {"Add": _add, "Identity": _identity, "Relu": _relu}
