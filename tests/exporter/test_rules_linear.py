"""The rules of products with matrices and kernels."""

import pytest

from tests.exporter.derivatives import check_against_differences, declared, weights

MATRICES = {
    "MatMul": ("3", "2", "y = MatMul(x, w)"),
    "MatMul of a map": ("2,2,3", "2,2,2", "y = MatMul(x, w)"),
    "MatMul from the left": ("3,4", "2,4", "y = MatMul(t, x)"),
    "MatMul from the left, of a stack": ("2,3,4", "2,2,4", "y = MatMul(t, x)"),
    "MatMul by stacked weights": ("2,4,3", "2,4,2", "y = MatMul(x, stack)"),
    "MatMul by stacked weights with an axis for the batch": ("2,4,3", "2,4,2", "y = MatMul(x, batch)"),
    "MatMul of what was transposed": ("3,4", "4,2", "q = Transpose<perm = [0, 2, 1]>(x) y = MatMul(q, w)"),
    "MatMul that is transposed": ("4,3", "2,4", "q = MatMul(x, w) y = Transpose<perm = [0, 2, 1]>(q)"),
    "MatMul, as many out as in": ("3", "3", "y = MatMul(x, square)"),
    "MatMul of a map, as many out as in": ("4,3", "4,3", "y = MatMul(x, square)"),
    "MatMul from the left, as many out as in": ("3,4", "3,4", "y = MatMul(square, x)"),
    "Gemm, as many out as in": ("3", "3", "y = Gemm(x, square)"),
    "Gemm, transposed, as many out as in": ("3", "3", "y = Gemm<transB = 1>(x, square)"),
    "Attention of one head": ("4,3", "4,3", "q = Transpose<perm = [0, 2, 1]>(x) s = MatMul(x, q) y = MatMul(s, x)"),
    "Attention of two heads": (
        "2,4,3",
        "2,4,3",
        "q = Transpose<perm = [0, 1, 3, 2]>(x) s = MatMul(x, q) a = Softmax(s) y = MatMul(a, x)",
    ),
    "Gemm": ("3", "2", "y = Gemm(x, w, bias)"),
    "Gemm, transposed and scaled": ("3", "2", "y = Gemm<transB = 1, alpha = 0.5, beta = 2.0>(x, t, bias)"),
}
WEIGHTS = f"""<{declared("w", weights(3, 2))}, {declared("t", weights(2, 3))}, float[2] bias = {{7, 8}},
    {declared("square", weights(3, 3))}, {declared("stack", weights(2, 3, 2))}, {declared("batch", weights(1, 2, 3, 2))}>"""

CONVOLUTIONS = {  # sizes of x and y, shape of the kernel, operator
    "Conv": ("2,5,6", "3,3,4", (3, 2, 3, 3), "Conv"),
    "Conv, pointwise": ("2,5,6", "3,5,6", (3, 2, 1, 1), "Conv"),
    "Conv, strides and padding": ("2,5,6", "3,3,3", (3, 2, 3, 3), "Conv<strides = [2, 2], pads = [1, 1, 1, 1]>"),
    "Conv, strides that leave a rest": ("2,5,7", "3,2,2", (3, 2, 2, 3), "Conv<strides = [3, 3]>"),
    "Conv, uneven padding": ("2,5,6", "3,6,5", (3, 2, 3, 2), "Conv<pads = [1, 0, 2, 0]>"),
    "Conv, padded by itself": ("2,5,6", "3,3,3", (3, 2, 3, 3), 'Conv<strides = [2, 2], auto_pad = "SAME_UPPER">'),
    "Conv, padded below": ("2,5,6", "3,3,3", (3, 2, 2, 3), 'Conv<strides = [2, 2], auto_pad = "SAME_LOWER">'),
    "Conv, not padded": ("2,5,6", "3,2,2", (3, 2, 3, 3), 'Conv<strides = [2, 2], auto_pad = "VALID">'),
    "Conv, dilated": ("2,5,6", "3,1,4", (3, 2, 3, 2), "Conv<dilations = [2, 2]>"),
    "Conv, in groups": ("4,5,6", "6,3,4", (6, 2, 3, 3), "Conv<group = 2>"),
    "Conv, depthwise": ("4,5,6", "4,3,3", (4, 1, 3, 3), "Conv<group = 4, strides = [2, 2], pads = [1, 1, 1, 1]>"),
    "Conv, as many out as in": ("4,5,6", "4,5,6", (4, 4, 3, 3), "Conv<pads = [1, 1, 1, 1]>"),
    "Conv, strides, as many out as in": ("4,5,6", "4,3,3", (4, 4, 1, 1), "Conv<strides = [2, 2]>"),
    "Conv, in groups, as many out as in": ("4,5,6", "4,3,4", (4, 2, 3, 3), "Conv<group = 2>"),
    "Conv along one axis": ("2,7", "3,4", (3, 2, 3), "Conv<strides = [2], pads = [1, 1]>"),
    "Conv of maps of one cell": ("4,1,1", "3,1,1", (3, 4, 1, 1), "Conv"),
    "Conv of maps of one cell, as many out as in": ("3,1,1", "3,1,1", (3, 3, 1, 1), "Conv"),
    "Conv of maps of one cell, in groups": ("4,1,1", "2,1,1", (2, 2, 1, 1), "Conv<group = 2>"),
    "Conv that leaves one cell": ("2,3,3", "3,1,1", (3, 2, 3, 3), "Conv<kernel_shape = [3, 3]>"),
    "ConvTranspose": ("2,3,4", "3,5,6", (2, 3, 3, 3), "ConvTranspose"),
    "ConvTranspose, as many out as in": ("3,3,4", "3,5,6", (3, 3, 3, 3), "ConvTranspose"),
    "ConvTranspose, strides, padding, rest": (
        "2,3,4",
        "3,6,8",
        (2, 3, 3, 3),
        "ConvTranspose<strides = [2, 2], pads = [1, 1, 1, 1], output_padding = [1, 1]>",
    ),
    "ConvTranspose, depthwise, dilated": (
        "4,3,4",
        "4,7,8",
        (4, 1, 3, 3),
        "ConvTranspose<group = 4, dilations = [2, 2]>",
    ),
}


@pytest.mark.parametrize("name", MATRICES)
def test_the_rule_of_a_product_with_a_matrix_agrees_with_differences(name: str) -> None:
    source, target, operators = MATRICES[name]

    check_against_differences(f"float[N,{source}] x) => (float[N,{target}] y) {WEIGHTS} {{ {operators} }}")


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_the_rule_of_a_convolution_agrees_with_differences(name: str) -> None:
    source, target, shape, operator = CONVOLUTIONS[name]
    kernel = declared("k", weights(*shape))

    check_against_differences(f"float[N,{source}] x) => (float[N,{target}] y) <{kernel}> {{ y = {operator}(x, k) }}")
