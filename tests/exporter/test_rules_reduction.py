"""The rules of reductions and normalisations."""

import pytest

from tests.exporter.derivatives import NEWEST, check_against_differences, declared, weights

MAP = "float[N,4,2,3] x) => (float[N,4,2,3] y)"

REDUCTIONS = {  # sizes of y, operator
    "GlobalAveragePool": ("2,1,1", "GlobalAveragePool(x)"),
    "GlobalMaxPool": ("2,1,1", "GlobalMaxPool(x)"),
    "ReduceMean": ("2", "ReduceMean<keepdims = 0>(x, space)"),
    "ReduceMean of all but the batch": ("", "ReduceMean<keepdims = 0>(x, every)"),
    "ReduceMean that keeps axes": ("1,3,4", "ReduceMean(x, channels)"),
    "ReduceMean of no axis": ("2,3,4", "ReduceMean<noop_with_empty_axes = 1>(x)"),
    "ReduceSum": ("2,3", "ReduceSum<keepdims = 0>(x, last)"),
    "ReduceMax": ("2", "ReduceMax<keepdims = 0>(x, space)"),
    "ReduceMax that keeps axes": ("2,3,1", "ReduceMax(x, last)"),
    "ReduceMin": ("2,1,1", "ReduceMin(x, space)"),
    "ReduceL1": ("2", "ReduceL1<keepdims = 0>(x, space)"),
    "ReduceL2": ("2,1,1", "ReduceL2(x, space)"),
    "ReduceSumSquare": ("3,4", "ReduceSumSquare<keepdims = 0>(x, channels)"),
    "ReduceLogSumExp": ("2,3", "ReduceLogSumExp<keepdims = 0>(x, last)"),
}
AXES = "<int64[2] space = {-1, 2}, int64[1] channels = {1}, int64[1] last = {-1}, int64[3] every = {1, 2, 3}>"

NORMALISATIONS = {
    "Softmax": "Softmax(x)",
    "Softmax over channels": "Softmax<axis = 1>(x)",
    "LogSoftmax": "LogSoftmax(x)",
    "LogSoftmax over an axis": "LogSoftmax<axis = -2>(x)",
    "BatchNormalization": "BatchNormalization<epsilon = 0.01>(x, g, b, b, v)",
    "LayerNormalization": "LayerNormalization(x, scale, bias)",
    "LayerNormalization without bias": "LayerNormalization<axis = 3, epsilon = 0.1>(x, scale)",
    "LayerNormalization over several axes": "LayerNormalization<axis = 1>(x, all_scales)",
    "InstanceNormalization": "InstanceNormalization<epsilon = 0.1>(x, g, b)",
}
GROUP = "GroupNormalization<num_groups = 2, epsilon = 0.1, stash_type = 1>(x, g, b)"
PARAMETERS = f"""<{declared("g", weights(4))}, float[4] b = {{1, 2, -3, 4}}, float[4] v = {{0.3, 0.6, 1, 2}},
    float[3] scale = {{0.5, -2, 1.5}}, float[3] bias = {{1, 2, 3}}, {declared("all_scales", weights(4, 2, 3))}>"""


@pytest.mark.parametrize("name", REDUCTIONS)
def test_the_rule_of_a_reduction_agrees_with_differences(name: str) -> None:
    sizes, operator = REDUCTIONS[name]
    target = f"N,{sizes}".rstrip(",")

    check_against_differences(f"float[N,2,3,4] x) => (float[{target}] y) {AXES} {{ y = {operator} }}")


@pytest.mark.parametrize("name", NORMALISATIONS)
def test_the_rule_of_a_normalisation_agrees_with_differences(name: str) -> None:
    check_against_differences(f"{MAP} {PARAMETERS} {{ y = {NORMALISATIONS[name]} }}")


def test_so_does_that_of_group_normalisation() -> None:
    check_against_differences(f"{MAP} {PARAMETERS} {{ y = {GROUP} }}", NEWEST)
