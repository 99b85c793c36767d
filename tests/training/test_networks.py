"""The networks are the published ones and take pixels as the server feeds them."""

import numpy as np
import pytest

from training import recipe
from training.errors import RecipeError


@pytest.mark.parametrize(("name", "parameters"), [("fashion", 93_322), ("sprites", 69_405)])
def test_the_networks_have_their_known_number_of_parameters(name: str, parameters: int) -> None:
    chosen = recipe.load(name, [])
    model = chosen.network.build(chosen.preprocess.shape, len(chosen.data.labels))
    assert model.count_params() == parameters


def test_a_model_takes_uint8_pixels_and_scales_them_itself() -> None:
    chosen = recipe.load("digits", [])
    model = chosen.network.build(chosen.preprocess.shape, 10)
    assert (model.input.dtype, model.input.shape) == ("uint8", (None, 28, 28, 1))
    rescaled = model.layers[1](np.array([[[[0], [255]]]], np.uint8))
    np.testing.assert_allclose(np.ravel(rescaled), [-1, 1])


def test_many_classes_end_in_a_softmax_and_two_in_one_sigmoid() -> None:
    chosen = recipe.load("digits", [])
    pixels = np.zeros((2, 28, 28, 1), np.uint8)
    many = np.asarray(chosen.network.build((28, 28, 1), 10)(pixels))
    two = np.asarray(chosen.network.build((28, 28, 1), 2)(pixels))
    np.testing.assert_allclose(many.sum(axis=1), 1, rtol=1e-5)
    assert (many.shape, two.shape) == ((2, 10), (2, 1))
    assert ((two > 0) & (two < 1)).all()


@pytest.mark.parametrize(
    ("blocks", "place"),
    [
        ("[{filters=1, kernel=29, pool=1}]", "blocks[0] does not fit: its kernel of 29"),
        ("[{filters=1, kernel=3, pool=9}, {filters=1, kernel=1, pool=3}]", "blocks[1] does not fit: its kernel of 1"),
    ],
)
def test_blocks_that_shrink_the_map_to_nothing_are_refused_by_name(blocks: str, place: str) -> None:
    chosen = recipe.load("digits", [f"network.blocks={blocks}"])
    with pytest.raises(RecipeError) as refusal:
        chosen.network.build((28, 28, 1), 10)
    assert place in str(refusal.value)
