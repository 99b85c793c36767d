"""How a cotangent [N, M, ...] meets the tensors [N, ...] and the constants of the forward pass.

The formulations are those that ONNX Runtime and OpenVINO both run, for no class (M = 0) too. There, ONNX Runtime (1.31)
broadcasts no stacks of matrices, its Einsum divides by zero, and it fuses a Transpose of the last two axes with a MatMul
after it into an operator that refuses even a plain matrix beside an empty stack. Hence `times`, which folds everything
into the rows of one matrix first.
"""

import onnx_ir as ir

from exporter.gradcam.operators import Operand, Operators, ints, sample_shape
from exporter.gradcam.rules.edge import Edge


def per_class(op: Operators, value: Operand) -> ir.Value:
    """[N, ...] -> [N, 1, ...]: the same for all classes."""
    return op.Unsqueeze(value, ints(1))


def per_picture(edge: Edge, index: int) -> bool:
    """Whether operand number `index` has the axes of y, the first for the pictures; else it is the same for all of them."""
    if edge.rank(index) == _rank_of_output(edge):
        return True
    if edge.fixed(index):
        return False
    raise edge.refusal("its operands depend on the picture and differ in rank")


def aligned(op: Operators, edge: Edge, index: int) -> ir.Value:
    """Operand number `index`, so that it broadcasts against the cotangent of y as it does in the forward pass."""
    operand = edge.operand(index)
    return per_class(op, operand) if per_picture(edge, index) else operand


def summed(op: Operators, edge: Edge, cotangent: ir.Value) -> ir.Value:
    """[N, M, *sizes of y] -> [N, M, *sizes of x]: an element of x that is broadcast gets the sum over its copies."""
    if edge.rank(edge.input) != _rank_of_output(edge):
        raise edge.refusal("it moves the axis of the batch")
    sizes, broadcast = sample_shape(edge.x), sample_shape(edge.y)
    axes = [axis for axis, size in enumerate(sizes, start=2) if size != broadcast[axis - 2]]
    return op.ReduceSum(cotangent, ints(*axes), keepdims=1) if axes else cotangent


def kept_apart(
    op: Operators, cotangent: ir.Value, weights: Operand, inputs: int, outputs: int
) -> tuple[ir.Value, Operand]:
    """Cotangent and weights as the factors of a product: as they are, or both negated where inputs = outputs.

    OpenVINO (2026.4) remembers weights that it has rearranged for an operator by their content and sizes. Where they are
    square, the forward and the backward pass want the same numbers in different order, and the one that is prepared
    second would get those of the first: wrong gradients, or even wrong probabilities. But -W is not W.
    """
    return (op.Neg(cotangent), op.Neg(weights)) if inputs == outputs else (cotangent, weights)


def times(op: Operators, cotangent: ir.Value, width: int, matrix: Operand, shape: tuple[int, ...]) -> ir.Value:
    """The rows [..., width] of a cotangent times a constant matrix [width, I]: [N, M, *shape], which ends in I."""
    cotangent, matrix = kept_apart(op, cotangent, matrix, width, shape[-1])
    if len(shape) == 1:
        return op.MatMul(cotangent, matrix)
    product = op.MatMul(op.Reshape(cotangent, ints(0, -1, width)), matrix)
    return op.Reshape(product, ints(0, -1, *shape))


def along(
    op: Operators, cotangent: ir.Value, axis: int, width: int, matrix: Operand, shape: tuple[int, ...]
) -> ir.Value:
    """x̄[..., i, ...] = Σⱼ ȳ[..., j, ...] matrix[j, i] along `axis` of the tensor, `width` long in ȳ: [N, M, *shape]."""
    last = len(shape)
    if axis == last:
        return times(op, cotangent, width, matrix, shape)
    swap = list(range(last + 2))
    swap[axis + 1], swap[-1] = swap[-1], swap[axis + 1]
    swapped = tuple(shape[position - 2] for position in swap[2:])
    product = times(op, op.Transpose(cotangent, perm=swap), width, matrix, swapped)
    return op.Transpose(product, perm=swap)


def folded(op: Operators, edge: Edge, cotangent: ir.Value) -> ir.Value:
    """[N, M, *sizes of y] -> [N*M, *sizes of y], for operators that know one batch axis only."""
    return op.Reshape(cotangent, ints(-1, *sample_shape(edge.y)))


def unfolded(op: Operators, edge: Edge, part: ir.Value, cotangent: ir.Value) -> ir.Value:
    """[N*M, *sizes of x] -> [N, M, *sizes of x], with N and M of the cotangent."""
    shape = op.Concat(op.Shape(cotangent, start=0, end=2), ints(*sample_shape(edge.x)), axis=0)
    return op.Reshape(part, shape, allowzero=1)


def _rank_of_output(edge: Edge) -> int:
    if edge.y.shape is None:
        raise edge.refusal("the rank of its output is not known")
    return len(edge.y.shape)
