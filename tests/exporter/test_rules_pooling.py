"""The rules of windows that slide over a map."""

import pytest

from tests.exporter.derivatives import NEWEST, check_against_differences

WINDOWS = {  # sizes of x and y, attributes
    "in tiles": ("2,5,6", "2,2,3", "kernel_shape = [2, 2], strides = [2, 2]"),
    "overlapping": ("2,5,6", "2,3,4", "kernel_shape = [3, 3]"),
    "padded": ("2,5,6", "2,3,4", "kernel_shape = [3, 2], strides = [2, 2], pads = [1, 1, 1, 1]"),
    "padded unevenly": ("1,5,6", "1,5,3", "kernel_shape = [3, 2], strides = [1, 2], pads = [2, 0, 0, 0]"),
    "padded by itself": ("1,5,6", "1,3,3", 'kernel_shape = [3, 3], strides = [2, 2], auto_pad = "SAME_UPPER"'),
    "padded above": ("1,5,6", "1,5,6", 'kernel_shape = [2, 3], auto_pad = "SAME_LOWER"'),
    "not padded": ("1,5,6", "1,2,2", 'kernel_shape = [3, 3], strides = [2, 2], auto_pad = "VALID"'),
    "with gaps": ("1,5,6", "1,2,2", "kernel_shape = [2, 2], strides = [3, 3]"),
    "rounded up": ("1,6,7", "1,3,3", "kernel_shape = [3, 3], strides = [2, 2], ceil_mode = 1"),
    "rounded up and padded": (
        "1,6,6",
        "1,4,4",
        "kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1], ceil_mode = 1",
    ),
    "of the whole map": ("1,3,4", "1,1,1", "kernel_shape = [3, 4]"),
    "larger than the map": ("1,3,4", "1,1,1", "kernel_shape = [4, 5], pads = [1, 0, 0, 1]"),
    "along one axis": ("1,7", "1,4", "kernel_shape = [3], strides = [2], pads = [1, 1]"),
}
OF_MAX_POOL = {
    "numbered by column": ("2,5,6", "2,4,5", "kernel_shape = [2, 2], storage_order = 1"),
    "dilated": ("2,5,6", "2,3,4", "kernel_shape = [2, 2], dilations = [2, 2]"),
}
PADDED = ["padded", "padded unevenly", "padded by itself", "padded above", "larger than the map", "rounded up"]
DILATED = ("2,5,6", "2,3,4", "kernel_shape = [2, 2], dilations = [2, 2]")


@pytest.mark.parametrize("name", WINDOWS | OF_MAX_POOL)
def test_the_rule_of_max_pooling_agrees_with_differences(name: str) -> None:
    check_against_differences(pooling("MaxPool", *(WINDOWS | OF_MAX_POOL)[name]))


@pytest.mark.parametrize("name", WINDOWS)
def test_so_does_that_of_average_pooling(name: str) -> None:
    check_against_differences(pooling("AveragePool", *WINDOWS[name]))


@pytest.mark.parametrize("name", PADDED)
def test_so_does_that_of_average_pooling_in_which_padding_counts(name: str) -> None:
    source, target, attributes = WINDOWS[name]

    check_against_differences(pooling("AveragePool", source, target, f"{attributes}, count_include_pad = 1"))


def test_so_does_that_of_dilated_average_pooling() -> None:
    check_against_differences(pooling("AveragePool", *DILATED), NEWEST)


def pooling(operator: str, source: str, target: str, attributes: str) -> str:
    return f"float[N,{source}] x) => (float[N,{target}] y) {{ y = {operator}<{attributes}>(x) }}"
