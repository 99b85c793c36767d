"""Windows that slide over a map."""

import math

import numpy as np
import onnx_ir as ir

from exporter.gradcam.operators import Operators, ints, sample_shape
from exporter.gradcam.rules.edge import Edge, Rule


def _max_pool(op: Operators, edge: Edge, cotangent: ir.Value) -> ir.Value:
    """y [N, C, h', w'] = largest x [N, C, h, w] of each window: x̄ gathers each ȳ at the place of that largest x.

    Windows may overlap (a place gets the sum) and reach into the padding (never the largest); the first of equal
    elements counts, as in TensorFlow. MaxPool numbers the places through the whole batch, hence the modulo. A second
    MaxPool asks for the places, so that the one in the forward pass stays the fast kernel without them.
    """
    attributes = {name: value for name, value in edge.node.attributes.items() if name != "storage_order"}
    pooled = op.node("MaxPool", [edge.x], attributes, outputs=2)
    shape, outputs = sample_shape(edge.x), math.prod(sample_shape(edge.y))
    flat = op.Reshape(cotangent, ints(0, 0, outputs))
    places = op.Mod(op.Reshape(pooled.outputs[1], ints(0, 1, outputs)), np.int64(math.prod(shape)))
    zeros = op.Expand(
        np.zeros((1, 1, 1), np.float32), op.Concat(op.Shape(flat, start=0, end=2), ints(math.prod(shape)), axis=0)
    )
    gathered = op.ScatterElements(zeros, op.Expand(places, op.Shape(flat)), flat, axis=2, reduction="add")
    return op.Reshape(gathered, ints(0, 0, *shape))


RULES: dict[str, Rule] = {"MaxPool": _max_pool}
