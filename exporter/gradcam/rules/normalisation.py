"""Operators in which elements compete: softmax, and what brings mean and deviation to fixed values."""

import math

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from exporter.gradcam.operators import Operators, ints, sample_shape
from exporter.gradcam.rules.cotangent import aligned, per_class
from exporter.gradcam.rules.edge import Edge, Rule


def _softmax(op: Operators, edge: Edge, cotangent: ir.Value) -> ir.Value:
    """y = eˣ / Σeˣ along an axis: x̄ = yȳ - y Σyȳ."""
    y = per_class(op, edge.y)
    product = op.Mul(cotangent, y)
    return op.Sub(product, op.Mul(y, op.ReduceSum(product, _competing(edge), keepdims=1)))


def _log_softmax(op: Operators, edge: Edge, cotangent: ir.Value) -> ir.Value:
    """y = x - ln Σeˣ along an axis: x̄ = ȳ - eʸ Σȳ."""
    total = op.ReduceSum(cotangent, _competing(edge), keepdims=1)
    return op.Sub(cotangent, op.Mul(per_class(op, op.Exp(edge.y)), total))


def _batch_normalisation(op: Operators, edge: Edge, cotangent: ir.Value) -> ir.Value:
    """y = (x - μ) γ/√(σ² + ε) + β of each channel, with fixed μ, σ², γ, β: x̄ = ȳ γ/√(σ² + ε)."""
    if edge.input != 0 or edge.integer("training_mode", 0):
        raise edge.refusal("only that of inference has a rule")
    epsilon = np.float32(edge.number("epsilon", 1e-5))
    factor = op.Div(edge.operand(1), op.Sqrt(op.Add(edge.operand(4), epsilon)))
    return op.Mul(cotangent, op.Reshape(factor, _channelwise(edge)))


def _layer_normalisation(op: Operators, edge: Edge, cotangent: ir.Value) -> ir.Value:
    """y = γ x̂ + β, where x̂ is x with mean 0 and deviation 1 over the axes from `axis` on: see `_standardised`."""
    _only_of_the_data(edge)
    rank = edge.rank(0)
    axes = range(edge.integer("axis", -1) % rank, rank)
    if 0 in axes:
        raise edge.refusal("it normalises over the batch")
    return _standardised(op, edge, edge.x, op.Mul(cotangent, aligned(op, edge, 1)), list(axes))


def _instance_normalisation(op: Operators, edge: Edge, cotangent: ir.Value) -> ir.Value:
    """y = γ x̂ + β for each channel, where x̂ is x with mean 0 and deviation 1 over space: see `_standardised`."""
    _only_of_the_data(edge)
    scaled = op.Mul(cotangent, op.Reshape(edge.operand(1), _channelwise(edge)))
    return _standardised(op, edge, edge.x, scaled, list(range(2, edge.rank(0))))


def _group_normalisation(op: Operators, edge: Edge, cotangent: ir.Value) -> ir.Value:
    """y = γ x̂ + β, where x̂ is x with mean 0 and deviation 1 over a group of channels, and space: see `_standardised`.

    A group is one axis for the while, [N, groups, C/groups * h * w]. γ is of each channel, as from opset 21 on.
    """
    _only_of_the_data(edge)
    shape, groups = sample_shape(edge.x), edge.integer("num_groups", 1)
    scale = edge.operand(1)
    if scale.shape != (shape[0],):
        raise edge.refusal("its scale is of each group, not of each channel; export the model with opset 21 or later")
    grouped = groups, math.prod(shape) // groups
    scaled = op.Reshape(op.Mul(cotangent, op.Reshape(scale, _channelwise(edge))), ints(0, 0, *grouped))
    part = _standardised(op, edge, op.Reshape(edge.x, ints(0, *grouped)), scaled, [2])
    return op.Reshape(part, ints(0, 0, *shape))


RULES: dict[str, Rule] = {
    "BatchNormalization": _batch_normalisation,
    "GroupNormalization": _group_normalisation,
    "InstanceNormalization": _instance_normalisation,
    "LayerNormalization": _layer_normalisation,
    "LogSoftmax": _log_softmax,
    "Softmax": _softmax,
}


def _competing(edge: Edge) -> NDArray[np.int64]:
    """The axis of a softmax, in the cotangent."""
    axis = edge.integer("axis", -1) % edge.rank(0)
    if axis == 0:
        raise edge.refusal("the pictures of a batch compete")
    return ints(axis + 1)


def _only_of_the_data(edge: Edge) -> None:
    if edge.input != 0 or edge.output != 0:
        raise edge.refusal("its scale or bias depends on the picture, or the score on its mean or deviation")


def _channelwise(edge: Edge) -> NDArray[np.int64]:
    """The shape of one number for each channel that broadcasts against x [N, C, ...]."""
    return ints(-1, *[1] * (edge.rank(0) - 2))


def _standardised(op: Operators, edge: Edge, x: ir.Value, cotangent: ir.Value, axes: list[int]) -> ir.Value:
    """The way back through x̂ = (x - μ)/σ, σ = √(variance + ε), over `axes`: with ȳ that of x̂,

    x̄ = (ȳ - mean ȳ - x̂ mean(x̂ȳ)) / σ   (Ioffe & Szegedy, arXiv:1502.03167, section 3).
    """
    epsilon = np.float32(edge.number("epsilon", 1e-5))
    centred = op.Sub(x, op.ReduceMean(x, ints(*axes)))
    deviation = op.Sqrt(op.Add(op.ReduceMean(op.Mul(centred, centred), ints(*axes)), epsilon))
    standard = per_class(op, op.Div(centred, deviation))
    beyond = ints(*(axis + 1 for axis in axes))
    level = op.ReduceMean(cotangent, beyond)
    slope = op.ReduceMean(op.Mul(cotangent, standard), beyond)
    rest = op.Sub(op.Sub(cotangent, level), op.Mul(standard, slope))
    return op.Div(rest, per_class(op, deviation))
