"""What converters leave behind, put right."""

import numpy as np
import pytest

from exporter.tidy import tidy
from tests.exporter.graphs import parse, run

FLATTENED = """
g (float[N,2,3,4] x) => (float[N,24] y)
{
    shape = Shape<start = 0, end = 1>(x)
    rest = Constant<value_ints = [-1]>()
    sizes = Concat<axis = 0>(shape, rest)
    y = Reshape(x, sizes)
}
"""


def test_a_shape_that_is_known_but_for_the_batch_is_not_computed_at_run_time() -> None:
    tidied = tidy(parse(FLATTENED))
    assert [node.op_type for node in tidied.graph.node] == ["Reshape"]
    for pictures in (0, 1, 3):
        x = np.random.default_rng(0).normal(size=(pictures, 2, 3, 4)).astype(np.float32)
        np.testing.assert_array_equal(run(tidied, x=x)[0], x.reshape(pictures, 24))


@pytest.mark.parametrize("sizes", ["N,2,H,4", "3,2,3,4"])
def test_a_shape_that_varies_in_another_axis_or_not_at_all_is_left_alone(sizes: str) -> None:
    text = FLATTENED.replace("N,2,3,4", sizes).replace("float[N,24]", "float[A,B]")
    assert len(tidy(parse(text)).graph.node) == 4


SCALED = """
g (float[N,4,3,1] x) => (float[N,4,3,1] y)
{
    half = Constant<value_float = 0.5>()
    y = Sub(x, half)
}
"""


def broadcast_shape(text: str) -> list[int]:
    """The shape of the constant of a tidied graph that has one."""
    (constant,) = tidy(parse(text)).graph.initializer
    return list(constant.dims)


@pytest.mark.parametrize("operands", ["x, half", "half, x"])
def test_a_scalar_beside_one_channel_has_as_many_axes(operands: str) -> None:
    text = SCALED.replace("x, half", operands)
    assert broadcast_shape(text) == [1, 1, 1, 1]
    x = np.random.default_rng(0).normal(size=(2, 4, 3, 1)).astype(np.float32)
    np.testing.assert_array_equal(run(tidy(parse(text)), x=x)[0], run(parse(text), x=x)[0])


def test_a_scalar_beside_several_channels_stays_one() -> None:
    """Engines recognise fused operators by their scalars."""
    tidied = tidy(parse(SCALED.replace("4,3,1", "4,1,3")))
    assert [node.op_type for node in tidied.graph.node] == ["Constant", "Sub"]
