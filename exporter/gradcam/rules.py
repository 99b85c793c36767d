"""The vector-Jacobian product of each operator, one small function each.

A rule answers: given the cotangent of a node's output (the gradient of a score with respect to it), what is the
cotangent of its input number `index`? Cotangents carry one axis more than the tensor they belong to, for the M classes
explained in one call:

    tensor     [N, ...]       N pictures
    cotangent  [N, M, ...]    M scores for each of them

so element-wise rules need one Unsqueeze of the tensor, and everything else batches over N and M by itself. These two
may be any number at run time, 0 too; the other sizes are fixed at export. Whatever does not depend on the picture is written so that an engine
folds it once, when it loads the model.

In the formulas x is the input, y the output, and a bar is a cotangent: x̄ = Jᵀ ȳ.
"""

import math
from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from exporter.errors import UnsupportedGraphError
from exporter.gradcam.operators import Operators, ints, sample_shape

# (op, node, index, ȳ) -> x̄ of input number `index`
Rule = Callable[[Operators, ir.Node, int, ir.Value], ir.Value]

_CLASSES = ints(1)  # the axis of the M classes in a cotangent


def rule_of(node: ir.Node) -> Rule:
    """The rule of this node's operator; raises UnsupportedGraphError naming operator, node and the way out."""
    rule = RULES.get(node.op_type) if node.domain in ("", "ai.onnx") else None
    if rule is None:
        raise _refusal(node, "there is no gradient rule for this operator")
    return rule


def _identity(_op: Operators, _node: ir.Node, _index: int, cotangent: ir.Value) -> ir.Value:
    """y = x: x̄ = ȳ [N, M, ...]."""
    return cotangent


def _relu(op: Operators, node: ir.Node, _index: int, cotangent: ir.Value) -> ir.Value:
    """y = max(x, 0) of shape [N, ...]: x̄ = ȳ where y > 0, else 0 [N, M, ...]. The gradient at 0 is 0, as in Keras."""
    positive = op.Greater(node.outputs[0], np.float32(0))
    return op.Where(op.Unsqueeze(positive, _CLASSES), cotangent, np.float32(0))


def _add(_op: Operators, node: ir.Node, index: int, cotangent: ir.Value) -> ir.Value:
    """y = x + b: x̄ = ȳ [N, M, ...], for an x that is not broadcast."""
    if sample_shape(_input(node, index)) != sample_shape(node.outputs[0]):
        raise _refusal(node, "the input that depends on the picture is broadcast")
    return cotangent


def _matmul(op: Operators, node: ir.Node, index: int, cotangent: ir.Value) -> ir.Value:
    """y [N, ..., B] = x [N, ..., A] W [A, B]: x̄ [N, M, ..., A] = ȳ [N, M, ..., B] Wᵀ."""
    if index != 0 or _rank(node, 1) != 2:
        raise _refusal(node, "only a product with a matrix of weights on the right has a rule")
    return op.MatMul(cotangent, op.Transpose(_input(node, 1), perm=[1, 0]))


def _gemm(op: Operators, node: ir.Node, index: int, cotangent: ir.Value) -> ir.Value:
    """y [N, B] = α x [N, A] W [A, B] + b: x̄ [N, M, A] = α ȳ [N, M, B] Wᵀ. With transB the weights are Wᵀ already."""
    if index != 0 or _int(node, "transA", 0):
        raise _refusal(node, "only a product with a matrix of weights on the right has a rule")
    weights = _input(node, 1)
    transposed = weights if _int(node, "transB", 0) else op.Transpose(weights, perm=[1, 0])
    product = op.MatMul(cotangent, transposed)
    alpha = node.attributes["alpha"].as_float() if "alpha" in node.attributes else 1.0
    return product if alpha == 1.0 else op.Mul(product, np.float32(alpha))


def _reshape(op: Operators, node: ir.Node, _index: int, cotangent: ir.Value) -> ir.Value:
    """y = x in another shape, pictures kept apart (also Flatten, Squeeze, Unsqueeze): x̄ = ȳ in the shape of x."""
    shape, reshaped = sample_shape(_input(node, 0)), sample_shape(node.outputs[0])
    if math.prod(shape) != math.prod(reshaped):
        raise _refusal(node, "it mixes the pictures of a batch")
    return op.Reshape(cotangent, ints(0, 0, *shape))


def _transpose(op: Operators, node: ir.Node, _index: int, cotangent: ir.Value) -> ir.Value:
    """y has axis perm[i] of x as its axis i: x̄ is ȳ with the axes put back, one further right for the classes."""
    permutation = permutation_of(node)
    if permutation[0] != 0:
        raise _refusal(node, "it moves the axis of the batch")
    inverse = [permutation.index(axis) for axis in range(len(permutation))]
    return op.Transpose(cotangent, perm=[0, 1, *(axis + 1 for axis in inverse[1:])])


def _reduce_mean(op: Operators, node: ir.Node, _index: int, cotangent: ir.Value) -> ir.Value:
    """y = mean of x over some axes: every one of the n elements of x that make up one of y gets x̄ = ȳ / n."""
    shape = sample_shape(_input(node, 0))
    axes = _reduced_axes(node, len(shape) + 1)
    if 0 in axes:
        raise _refusal(node, "it averages over the batch")
    kept = [1 if axis in axes else size for axis, size in enumerate(shape, start=1)]
    count = math.prod(shape) // math.prod(kept)
    share = op.Div(op.Reshape(cotangent, ints(0, 0, *kept)), np.float32(count))
    return op.Expand(share, ints(1, 1, *shape))


def _max_pool(op: Operators, node: ir.Node, _index: int, cotangent: ir.Value) -> ir.Value:
    """y [N, C, h', w'] = largest x [N, C, h, w] of each window: x̄ gathers each ȳ at the place of that largest x.

    Windows may overlap (a place gets the sum) and reach into the padding (never the largest); the first of equal
    elements counts, as in TensorFlow. MaxPool numbers the places through the whole batch, hence the modulo. A second
    MaxPool asks for the places, so that the one in the forward pass stays the fast kernel without them.
    """
    attributes = {name: value for name, value in node.attributes.items() if name != "storage_order"}
    pooled = op.node("MaxPool", [_input(node, 0)], attributes, outputs=2)
    shape, outputs = sample_shape(_input(node, 0)), math.prod(sample_shape(node.outputs[0]))
    flat = op.Reshape(cotangent, ints(0, 0, outputs))
    places = op.Mod(op.Reshape(pooled.outputs[1], ints(0, 1, outputs)), np.int64(math.prod(shape)))
    zeros = op.Expand(
        np.zeros((1, 1, 1), np.float32), op.Concat(op.Shape(flat, start=0, end=2), ints(math.prod(shape)), axis=0)
    )
    gathered = op.ScatterElements(zeros, op.Expand(places, op.Shape(flat)), flat, axis=2, reduction="add")
    return op.Reshape(gathered, ints(0, 0, *shape))


RULES: dict[str, Rule] = {
    "Add": _add,
    "Flatten": _reshape,
    "Gemm": _gemm,
    "GlobalAveragePool": _reduce_mean,
    "Identity": _identity,
    "MatMul": _matmul,
    "MaxPool": _max_pool,
    "ReduceMean": _reduce_mean,
    "Relu": _relu,
    "Reshape": _reshape,
    "Squeeze": _reshape,
    "Transpose": _transpose,
    "Unsqueeze": _reshape,
}


def permutation_of(transpose: ir.Node) -> list[int]:
    """Which axis of the input each axis of a Transpose's output is; without the attribute the order is reversed."""
    if "perm" in transpose.attributes:
        return list(transpose.attributes["perm"].as_ints())
    return list(reversed(range(_rank(transpose, 0))))


def _reduced_axes(node: ir.Node, rank: int) -> set[int]:
    if node.op_type == "GlobalAveragePool":
        return set(range(2, rank))
    if len(node.inputs) < 2 or node.inputs[1] is None:
        return set() if _int(node, "noop_with_empty_axes", 0) else set(range(rank))
    constant = ir.convenience.get_const_tensor(_input(node, 1))
    if constant is None:
        raise _refusal(node, "its axes are computed at run time")
    return {int(axis) % rank for axis in constant.numpy()}


def _input(node: ir.Node, index: int) -> ir.Value:
    value = node.inputs[index]
    assert value is not None, f"{node.op_type} without its input {index} is not valid ONNX"  # noqa: S101
    return value


def _rank(node: ir.Node, index: int) -> int:
    shape = _input(node, index).shape
    if shape is None:
        raise _refusal(node, f"the rank of its input {index} is not known")
    return len(shape)


def _int(node: ir.Node, name: str, default: int) -> int:
    return node.attributes[name].as_int() if name in node.attributes else default


def _refusal(node: ir.Node, reason: str) -> UnsupportedGraphError:
    return UnsupportedGraphError(
        f"no way back through operator {node.op_type} (node {node.name!r}) from the score to the feature map: {reason}; "
        "choose a feature map after it with --layer"
    )
