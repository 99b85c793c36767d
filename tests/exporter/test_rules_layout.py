"""The rules of operators that only move elements about, repeat them, or leave some out."""

import pytest

from tests.exporter.derivatives import check_against_differences

MOVED = {
    "Identity": "float[N,2,3] x) => (float[N,2,3] y) { y = Identity(x) }",
    "Dropout": "float[N,2,3] x) => (float[N,2,3] y) { y = Dropout(x) }",
    "Dropout with its mode": "float[N,3] x) => (float[N,3] y) <float r = {0.5}, bool t = {0}> { y = Dropout(x, r, t) }",
    "Flatten": "float[N,2,3,2] x) => (float[N,12] y) { y = Flatten(x) }",
    "Reshape": "float[N,2,3,2] x) => (float[N,3,4] y) <int64[3] s = {-1, 3, 4}> { y = Reshape(x, s) }",
    "Reshape that copies sizes": "float[N,2,3,2] x) => (float[N,2,6] y) <int64[3] s = {0, 0, -1}> { y = Reshape(x, s) }",
    "Squeeze": "float[N,4,1,1] x) => (float[N,4] y) <int64[2] a = {2, -1}> { y = Squeeze(x, a) }",
    "Unsqueeze": "float[N,4] x) => (float[N,1,4] y) <int64[1] a = {1}> { y = Unsqueeze(x, a) }",
    "Transpose": "float[N,2,3,4] x) => (float[N,3,4,2] y) { y = Transpose<perm = [0, 2, 3, 1]>(x) }",
    "Transpose of the last axes": "float[N,2,3,4] x) => (float[N,2,4,3] y) { y = Transpose<perm = [0, 1, 3, 2]>(x) }",
    "Slice between transposes": """float[N,2,3,4] x) => (float[N,2,2,4] y) <int64[1] a = {1}, int64[1] b = {3}>
        { q = Transpose<perm = [0, 2, 3, 1]>(x) r = Slice(q, a, b, a) y = Transpose<perm = [0, 3, 1, 2]>(r) }""",
    "Concat": "float[N,2,3] x) => (float[N,6,3] y) { r = Relu(x) y = Concat<axis = 1>(x, r, x) }",
    "Concat along the last axis": "float[N,2,3] x) => (float[N,2,6] y) { r = Relu(x) y = Concat<axis = -1>(r, x) }",
    "Split in equal parts": """float[N,6,3] x) => (float[N,2,3] y)
        { a, b, c = Split<axis = 1, num_outputs = 3>(x) d = Mul(a, c) y = Sub(d, b) }""",
    "Split of which a part is not used": """float[N,3,5] x) => (float[N,3,2] y) <int64[3] s = {2, 1, 2}>
        { a, b, c = Split<axis = -1>(x, s) y = Mul(a, c) }""",
}
# of x [N, 4, 5, 6]; the sizes of what is left, and the operator
TAKEN = {
    "Slice": ("4,2,6", "Slice(x, one, three, two)"),
    "Slice of several axes": ("4,2,4", "Slice(x, from, to, axes)"),
    "Slice of all axes": ("4,5,4", "Slice(x, all_from, all_to)"),
    "Slice of every other": ("4,3,6", "Slice(x, zero, far, two, two)"),
    "Slice backwards": ("4,5,6", "Slice(x, last, farther, three, last)"),
    "Slice backwards, every other": ("4,5,3", "Slice(x, last, farther, three, back)"),
    "Slice of every other, of two axes": ("4,2,3", "Slice(x, steps_from, steps_to, axes, steps)"),
    "Slice of everything": ("4,5,6", "Slice(x, zero, far, three)"),
    "Gather of one": ("4,6", "Gather<axis = 2>(x, number)"),
    "Gather of the last": ("4,5", "Gather<axis = -1>(x, minus)"),
    "Gather of a range": ("4,2,6", "Gather<axis = 2>(x, range)"),
    "Gather of some, one of them twice": ("4,4,6", "Gather<axis = 2>(x, some)"),
    "Pad": ("4,8,6", "Pad(x, pads, value, two)"),
    "Pad of all axes": ("4,6,7", "Pad(x, all_pads)"),
    "Pad that reflects": ("4,8,6", 'Pad<mode = "reflect">(x, pads, , two)'),
    "Pad that repeats the edge": ("4,6,7", 'Pad<mode = "edge">(x, all_pads)'),
}
CONSTANTS = """<int64[1] zero = {0}, int64[1] one = {1}, int64[1] two = {2}, int64[1] three = {3}, int64[1] last = {-1},
    int64[1] back = {-2}, int64[1] far = {9223372036854775807}, int64[1] farther = {-9223372036854775807},
    int64[2] from = {-3, 1}, int64[2] to = {4, -1}, int64[2] axes = {-2, 3}, int64[4] all_from = {0, 0, 0, 2},
    int64[4] all_to = {9223372036854775807, 2147483647, 5, 6}, int64[2] steps_from = {3, 1}, int64[2] steps_to = {0, 6},
    int64[2] steps = {-2, 2}, int64 number = {1}, int64 minus = {-1}, int64[2] range = {2, 3},
    int64[4] some = {4, 0, -1, 2}, int64[2] pads = {1, 2}, float value = {7}, int64[8] all_pads = {0, 0, 1, 0, 0, 0, 0, 1}>"""


@pytest.mark.parametrize("name", MOVED)
def test_the_rule_of_what_moves_elements_agrees_with_differences(name: str) -> None:
    check_against_differences(MOVED[name])


@pytest.mark.parametrize("name", TAKEN)
def test_so_does_that_of_what_takes_some_or_adds_some(name: str) -> None:
    sizes, operator = TAKEN[name]

    check_against_differences(f"float[N,4,5,6] x) => (float[N,{sizes}] y) {CONSTANTS} {{ y = {operator} }}")
