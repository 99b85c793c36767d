"""Products with weights."""

import numpy as np
import onnx_ir as ir

from exporter.gradcam.operators import Operators
from exporter.gradcam.rules.edge import Edge, Rule


def _matmul(op: Operators, edge: Edge, cotangent: ir.Value) -> ir.Value:
    """y [N, ..., B] = x [N, ..., A] W [A, B]: x̄ [N, M, ..., A] = ȳ [N, M, ..., B] Wᵀ."""
    if edge.input != 0 or edge.rank(1) != 2:
        raise edge.refusal("only a product with a matrix of weights on the right has a rule")
    return op.MatMul(cotangent, op.Transpose(edge.operand(1), perm=[1, 0]))


def _gemm(op: Operators, edge: Edge, cotangent: ir.Value) -> ir.Value:
    """y [N, B] = α x [N, A] W [A, B] + b: x̄ [N, M, A] = α ȳ [N, M, B] Wᵀ. With transB the weights are Wᵀ already."""
    if edge.input != 0 or edge.integer("transA", 0):
        raise edge.refusal("only a product with a matrix of weights on the right has a rule")
    weights = edge.operand(1)
    transposed = weights if edge.integer("transB", 0) else op.Transpose(weights, perm=[1, 0])
    product = op.MatMul(cotangent, transposed)
    alpha = edge.number("alpha", 1.0)
    return product if alpha == 1.0 else op.Mul(product, np.float32(alpha))


RULES: dict[str, Rule] = {"Gemm": _gemm, "MatMul": _matmul}
