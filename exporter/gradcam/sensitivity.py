"""How the explained scores depend on the feature map, in as few operators as possible.

The rules alone would do (`backward.gradient`): a one-hot seed at the score, then operator by operator back to the map. But the
ends of a head are nearly always linear, with weights that no picture changes, and the Jacobian of a linear stretch is a
constant that can be computed at export:

    map --(pooling, flatten, dense)--> v  --(ReLU, ...)-->  u --(dense)--> score
          J, summed over the map's cells         rules          R, a row per class

At the score, the gradient of class k with respect to u is row k of R: a look-up instead of a product with a one-hot seed. At the
map, Grad-CAM wants only the sum of the gradient over the cells of each channel, and J is small when it is summed already: 64 x
64 instead of 64 x 3 x 3 x 64 for a flattened 3 x 3 map; for VGG-16, 8 MB instead of 411. A max pooling passes every
gradient on to exactly one cell, so the sum over the cells after it is the sum over the cells before it, and it drops out of
the backward pass. Where a global average leads from the map straight to the scores nothing is left but a row of the
dense layer's weights: Grad-CAM is CAM then (Zhou et al., "Learning Deep Features for Discriminative Localization", CVPR 2016).

Each operator that is saved is worth about a microsecond a call, which is a percent of a network as small as a 28 x 28 one's.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from exporter.gradcam.backward import edges, gradient, path
from exporter.gradcam.feature_map import Map, as_map, dominators
from exporter.gradcam.folding import fold
from exporter.gradcam.operators import Operators, ints, sample_shape
from exporter.gradcam.rules import is_linear
from exporter.gradcam.rules.edge import Edge
from exporter.gradcam.rules.reduction import reduced_axes

_AVERAGING = {"GlobalAveragePool", "ReduceMean", "ReduceSum"}
_SUM_PRESERVING = {"Dropout", "Identity", "MaxPool", "Transpose"}


@dataclass(frozen=True)
class _Stretch:
    """A part of the head between two values that everything passes through."""

    source: ir.Value
    target: ir.Value
    nodes: list[ir.Node]

    @property
    def node(self) -> ir.Node | None:
        """The only operator of the stretch; None when there are several."""
        return self.nodes[0] if len(self.nodes) == 1 else None

    @property
    def linear(self) -> bool:
        return all(is_linear(edge) for edge in edges(self.nodes, self.source))

    @property
    def weights(self) -> int:
        """How many numbers the constants on the way hold."""
        inputs = [value for node in self.nodes for value in node.inputs if value is not None]
        return sum(math.prod(value.shape.numpy()) for value in inputs if value.is_initializer() and value.shape)


class Sensitivity:
    """The gradient of the explained scores with respect to a feature map."""

    def __init__(
        self, op: Operators, graph: ir.Graph, found: Map, score: ir.Value, labels: int, classes: ir.Value
    ) -> None:
        """`score` [N, K], `classes` i64 [N, M] of it are explained; the gradient of class K, which there is not, is 0."""
        self._op = op
        self._graph = graph
        self._map = found
        self._score = score
        self._labels = labels
        self._classes = classes
        joints = dominators(graph, found.tensor, score)
        if joints[-1] is not score:
            joints.append(score)
        self._head = [_Stretch(a, b, path(graph, a, b)) for a, b in pairwise(joints)]

    def gradient(self) -> ir.Value:
        """With respect to every cell: [N, M, *shape of the map]."""
        return self._back_to(self._map.tensor)

    def total(self) -> ir.Value:
        """Summed over the cells of each channel, up to a positive factor: [N, M, C]."""
        found, head = self._behind_sum_preserving()
        if head and _averages(head[0].node, found):
            return self._vector(head[0].target)
        if (end := _linear_beginning(head, found.channels)) is None:
            return self._sum_over_cells(self._back_to(found.tensor), found)
        summed = self._sum_over_cells(self._jacobian(found.tensor, end), found)
        jacobian = fold(self._graph, summed)[0]  # [B, C]
        if end is self._score:
            return self._look_up(jacobian)
        return self._op.MatMul(self._vector(end), jacobian)

    def _behind_sum_preserving(self) -> tuple[Map, list[_Stretch]]:
        """The map after the operators whose gradients have the same sum over the cells before and after, and what follows."""
        found, head = self._map, self._head
        while head and (node := head[0].node) is not None and node.op_type in _SUM_PRESERVING:
            after = as_map(head[0].target)
            if after is None:
                break
            found, head = after, head[1:]
        return found, head

    def _back_to(self, value: ir.Value) -> ir.Value:
        """The gradient with respect to a joint of the head: [N, M, *shape of value]."""
        start = self._linear_end(value)
        rows = self._look_up(self._rows(start))
        return rows if start is value else gradient(self._op, path(self._graph, value, start), start, rows, value)

    def _rows(self, start: ir.Value) -> NDArray[np.float32]:
        """The gradient of each class's score with respect to a joint from which the way is linear: [K, *shape]."""
        rows: NDArray[np.float32] = fold(self._graph, self._jacobian(start, self._score))[0]
        return rows

    def _linear_end(self, value: ir.Value) -> ir.Value:
        """The joint from which a row per class leads to the scores and takes no more room than the weights on the way."""
        start, weights = self._score, self._labels
        for stretch in reversed(self._after(value)):
            if not stretch.linear:
                break
            weights += stretch.weights
            if self._labels * _size(stretch.source) <= 2 * weights:
                start = stretch.source
        return start

    def _after(self, joint: ir.Value) -> list[_Stretch]:
        joints = [stretch.source for stretch in self._head]
        return self._head[joints.index(joint) :] if joint in joints else []

    def _look_up(self, rows: NDArray[np.float32]) -> ir.Value:
        """The row [...] of each class, from `rows` [K, ...], zeros for "no class": [N, M, ...]."""
        return self._op.Gather(np.concatenate([rows, np.zeros_like(rows[:1])]), self._classes, axis=0)

    def _jacobian(self, source: ir.Value, target: ir.Value) -> ir.Value:
        """Of the B values of `target` with respect to `source`: [1, B, *shape of source], for a linear way a constant."""
        size = _size(target)
        seed = self._op.Identity(np.eye(size, dtype=np.float32).reshape(1, size, *sample_shape(target)))
        nodes = path(self._graph, source, target)
        return seed if source is target else gradient(self._op, nodes, target, seed, source)

    def _sum_over_cells(self, cotangent: ir.Value, found: Map) -> ir.Value:
        """[N, M, *shape of the map] -> [N, M, C]."""
        spatial = [axis for axis in (2, 3, 4) if axis != found.channel_axis + 1]
        return self._op.ReduceSum(cotangent, ints(*spatial), keepdims=0)

    def _vector(self, joint: ir.Value) -> ir.Value:
        """The gradient with respect to a joint whose B values are no map: [N, M, B]."""
        if self._linear_end(joint) is joint:
            return self._look_up(self._rows(joint).reshape(self._labels, -1))
        cotangent, shape = self._back_to(joint), sample_shape(joint)
        return cotangent if len(shape) == 1 else self._op.Reshape(cotangent, ints(0, 0, math.prod(shape)))


def _averages(node: ir.Node | None, found: Map) -> bool:
    """Whether `node` takes the mean, or the sum, over all cells of each channel."""
    if node is None or node.op_type not in _AVERAGING or node.inputs[0] is not found.tensor:
        return False
    return reduced_axes(Edge(node, 0)) == {1, 2, 3} - {found.channel_axis}


def _linear_beginning(head: list[_Stretch], channels: int) -> ir.Value | None:
    """The last joint up to which the head is linear and whose summed Jacobian is no larger than the weights on the way."""
    end, weights = None, 0
    for stretch in head:
        if not stretch.linear:
            break
        weights += stretch.weights
        if _size(stretch.target) * channels <= weights:
            end = stretch.target
    return end


def _size(value: ir.Value) -> int:
    return math.prod(sample_shape(value))
