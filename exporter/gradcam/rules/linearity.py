"""Which operators are linear in which of their inputs."""

from exporter.gradcam.rules.edge import Edge

_LINEAR = {
    "Add", "AveragePool", "Cast", "Concat", "Dropout", "Expand", "Flatten", "GlobalAveragePool", "Identity", "Neg",
    "ReduceMean", "ReduceSum", "Reshape", "Split", "Squeeze", "Sub", "Sum", "Transpose", "Unsqueeze",
}  # fmt: skip
_LINEAR_BESIDE_CONSTANTS = {
    "BatchNormalization", "Conv", "ConvTranspose", "Div", "Gather", "Gemm", "MatMul", "Mul", "Pad", "Slice", "Where",
}  # fmt: skip


def is_linear(edge: Edge) -> bool:
    """Whether y depends on x through an affine map whose coefficients no picture changes.

    A sum is linear in each of its terms; a product is when its other factors are constants of the graph, and so for
    indices, conditions and divisors.
    """
    operator = edge.node.op_type
    if edge.node.domain not in ("", "ai.onnx") or (operator == "Div" and edge.input == 1):
        return False
    others = [index for index in range(len(edge.node.inputs)) if index != edge.input and edge.has(index)]
    beside_constants = all(edge.constant(index) is not None for index in others)
    return operator in _LINEAR or (operator in _LINEAR_BESIDE_CONSTANTS and beside_constants)
