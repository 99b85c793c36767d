"""Products with matrices and kernels."""

import math

import numpy as np
import onnx_ir as ir

from exporter.gradcam.operators import Operators, ints, sample_shape
from exporter.gradcam.rules.cotangent import along, folded, kept_apart, per_class, per_picture, times, unfolded
from exporter.gradcam.rules.edge import Edge, Rule
from exporter.gradcam.rules.window import spread


def _gemm(op: Operators, edge: Edge, cotangent: ir.Value) -> ir.Value:
    """y [N, B] = α x [N, A] W [A, B] + b: x̄ [N, M, A] = α ȳ [N, M, B] Wᵀ. With transB the weights are Wᵀ already."""
    if edge.input != 0 or edge.integer("transA", 0) or not edge.fixed(1):
        raise edge.refusal("only a product with a matrix of weights on the right has a rule")
    weights, (width,) = edge.operand(1), sample_shape(edge.y)
    transposed = weights if edge.integer("transB", 0) else op.Transpose(weights, perm=[1, 0])
    product = times(op, cotangent, width, transposed, sample_shape(edge.x))
    alpha = edge.number("alpha", 1.0)
    return product if alpha == 1.0 else op.Mul(product, np.float32(alpha))


def _matmul(op: Operators, edge: Edge, cotangent: ir.Value) -> ir.Value:
    """y [N, ..., T, B] = a [N, ..., T, A] b [N, ..., A, B]: ā = ȳ bᵀ [N, M, ..., T, A], b̄ = aᵀ ȳ [N, M, ..., A, B].

    One of them may be a matrix of weights, b [A, B] or a [T, A]. With such a b, there need not be a T.
    """
    other, shape, output = 1 - edge.input, sample_shape(edge.x), sample_shape(edge.y)
    if len(shape) != len(output) or len(shape) <= edge.input or edge.rank(other) < 2:
        raise edge.refusal("it mixes the pictures of a batch")
    if edge.rank(other) > 2:
        return _stacked_matmul(op, edge, cotangent)
    if not edge.fixed(other):
        raise edge.refusal("it mixes the pictures of a batch")
    if edge.input == 0:
        return times(op, cotangent, output[-1], op.Transpose(edge.operand(1), perm=[1, 0]), shape)
    return along(op, cotangent, len(shape) - 1, output[-2], edge.operand(0), shape)


def _stacked_matmul(op: Operators, edge: Edge, cotangent: ir.Value) -> ir.Value:
    """ȳ bᵀ or aᵀ ȳ for stacks of matrices. The other one is repeated M times: engines do not broadcast to M = 0."""
    if sample_shape(edge.x)[:-2] != sample_shape(edge.y)[:-2]:
        raise edge.refusal("its stacks of matrices are broadcast")
    index = 1 - edge.input
    axes = list(range(edge.rank(index)))
    matrices = op.Transpose(edge.operand(index), perm=[*axes[:-2], axes[-1], axes[-2]])
    if per_picture(edge, index):
        matrices = per_class(op, matrices)
    stack = op.Concat(op.Shape(cotangent, start=0, end=-2), ints(1, 1), axis=0)
    repeated = op.Expand(matrices, stack)
    return op.MatMul(cotangent, repeated) if edge.input == 0 else op.MatMul(repeated, cotangent)


def _conv(op: Operators, edge: Edge, cotangent: ir.Value) -> ir.Value:
    """y [N, B, ...] = x [N, A, ...] * W [B, A/groups, ...]: x̄ [N, M, A, ...] is the transposed convolution of ȳ with W.

    On maps of one cell, as in the head of MobileNetV3, W is a matrix: x̄ [N, M, A] = ȳ [N, M, B] W [B, A].
    """
    if edge.input != 0:
        raise edge.refusal("its kernel depends on the picture")
    kernel, group = edge.operand(1), edge.integer("group", 1)
    (inputs, *sizes), (outputs, *counts) = sample_shape(edge.x), sample_shape(edge.y)
    if group == math.prod(sizes) == math.prod(counts) == math.prod(sample_shape(kernel)[1:]) == 1:
        matrix = op.Reshape(kernel, ints(outputs, inputs))
        product = times(op, op.Reshape(cotangent, ints(0, 0, outputs)), outputs, matrix, (inputs,))
        return op.Reshape(product, ints(0, 0, inputs, *sizes))
    return spread(op, edge, *kept_apart(op, cotangent, kernel, inputs, outputs), group)


def _conv_transpose(op: Operators, edge: Edge, cotangent: ir.Value) -> ir.Value:
    """y [N, B, ...] = transposed convolution of x [N, A, ...] with W [A, B/groups, ...]: x̄ [N, M, A, ...] = ȳ * W."""
    if edge.input != 0:
        raise edge.refusal("its kernel depends on the picture")
    if edge.text("auto_pad", "NOTSET") != "NOTSET" or edge.integers("output_shape"):
        raise edge.refusal("only explicit padding has a rule")
    names = ("dilations", "group", "kernel_shape", "pads", "strides")
    attributes = {name: edge.node.attributes[name] for name in names if name in edge.node.attributes}
    factors = kept_apart(op, cotangent, edge.operand(1), sample_shape(edge.x)[0], sample_shape(edge.y)[0])
    part = op.node("Conv", [folded(op, edge, factors[0]), factors[1]], attributes).outputs[0]
    return unfolded(op, edge, part, cotangent)


RULES: dict[str, Rule] = {"Conv": _conv, "ConvTranspose": _conv_transpose, "Gemm": _gemm, "MatMul": _matmul}
