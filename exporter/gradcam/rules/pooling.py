"""Windows that slide over a map. (What pools a whole map at once is a reduction.)"""

import math
from functools import reduce

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from exporter.gradcam.operators import Operators, ints, sample_shape
from exporter.gradcam.rules.edge import Edge, Rule
from exporter.gradcam.rules.window import Window, spread, windows


def _max_pool(op: Operators, edge: Edge, cotangent: ir.Value) -> ir.Value:
    """y [N, C, h', w'] = largest x [N, C, h, w] of each window: x̄ gathers each ȳ at the place of that largest x.

    Windows may overlap (a place gets the sum) and reach into the padding (never the largest); the first of equal
    elements counts, as in TensorFlow. MaxPool numbers the places through the whole batch, hence the modulo. A second
    MaxPool asks for the places, so that the one in the forward pass stays the fast kernel without them.
    """
    _agreed_windows(edge)
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


def _average_pool(op: Operators, edge: Edge, cotangent: ir.Value) -> ir.Value:
    """y [N, C, h', w'] = mean x [N, C, h, w] of each window of n cells: each of its cells gets a part x̄ = ȳ / n.

    Where windows overlap a cell gets the sum; cells of the padding get nothing, but count in n with count_include_pad.
    """
    found = _agreed_windows(edge)
    shares = reduce(np.multiply.outer, [1 / _members(window, edge) for window in found]).astype(np.float32)
    if shares.size == 1:
        covered = [np.isin(np.arange(window.size), window.cells()) for window in found]
        return op.Mul(cotangent, reduce(np.multiply.outer, covered).astype(np.float32) * shares)
    channels = sample_shape(edge.x)[0]
    ones = np.ones((channels, 1, *(window.kernel for window in found)), np.float32)
    if (shares == shares.flat[0]).all():
        return spread(op, edge, cotangent, ones * shares.flat[0], group=channels)
    return spread(op, edge, op.Mul(cotangent, shares), ones, group=channels)


def _agreed_windows(edge: Edge) -> list[Window]:
    """The windows, unless ceil_mode adds one that begins behind the map: from opset 22 on there is no such window."""
    found = windows(edge)
    if edge.integer("ceil_mode", 0) and any(window.cells()[-1, 0] >= window.size for window in found):
        raise edge.refusal("engines disagree on its last window, which lies in the padding")
    return found


def _members(window: Window, edge: Edge) -> NDArray[np.int64]:
    """How many cells of each window count along its axis: [count]."""
    cells = window.cells()
    padded = edge.integer("count_include_pad", 0)
    before, after = (window.before, window.after) if padded else (0, 0)
    counted: NDArray[np.int64] = np.count_nonzero((cells >= -before) & (cells < window.size + after), axis=1)
    return counted


RULES: dict[str, Rule] = {"AveragePool": _average_pool, "MaxPool": _max_pool}
