"""Reverse-mode differentiation over an ONNX graph (Griewank & Walther, "Evaluating Derivatives", 2008, chapter 3)."""

import onnx_ir as ir

from exporter.errors import UnsupportedGraphError
from exporter.gradcam.operators import Operators
from exporter.gradcam.rules import rule_of
from exporter.gradcam.rules.edge import Edge

_CARRIERS = {ir.DataType.FLOAT, ir.DataType.UINT8}


def path(graph: ir.Graph, source: ir.Value, target: ir.Value) -> list[ir.Node]:
    """The nodes through which `target` depends differentiably on `source`, in the order of execution.

    Only float32 tensors carry a derivative, and uint8 ones, which are pixels: what depends on `source` through other integers
    alone (shapes, indices) is left out.
    """
    downstream = {source}
    forward = []
    for node in graph:
        if any(value in downstream for value in node.inputs):
            forward.append(node)
            downstream.update(output for output in node.outputs if output.dtype in _CARRIERS)
    upstream = {target}
    chosen = []
    for node in reversed(forward):
        if any(output in upstream and output in downstream for output in node.outputs):
            chosen.append(node)
            upstream.update(value for value in node.inputs if value is not None)
    return chosen[::-1]


def gradient(op: Operators, nodes: list[ir.Node], score: ir.Value, seed: ir.Value, feature_map: ir.Value) -> ir.Value:
    """Appends the backward pass of `nodes` (`path` from the map to the score) and returns the map's cotangent.

    `seed` [N, M, K] holds a row per explained class that says which scores [N, K] it asks about; the result is
    [N, M, *shape of the map]. Raises UnsupportedGraphError when an operator has no rule.
    """
    cotangents = {score: seed}
    for edge in reversed(edges(nodes, feature_map)):
        if edge.y in cotangents:
            part = rule_of(edge.node)(op, edge, cotangents[edge.y])
            cotangents[edge.x] = op.Add(cotangents[edge.x], part) if edge.x in cotangents else part
    if feature_map not in cotangents:
        raise UnsupportedGraphError(
            f"the score does not depend on feature map {feature_map.name!r}; choose another with --layer"
        )
    return cotangents[feature_map]


def edges(nodes: list[ir.Node], source: ir.Value) -> list[Edge]:
    """Every way through each of `nodes` (`path` from `source`) by which a derivative travels, in order."""
    dependent = {source}.union(*(node.outputs for node in nodes))
    return [
        Edge(node, index, output)
        for node in nodes
        for output in range(len(node.outputs))
        for index, value in enumerate(node.inputs)
        if value is not None and value in dependent
    ]
