"""The networks are the published ones and take pixels as the server feeds them."""

import numpy as np
import pytest

from training import recipe
from training.errors import RecipeError
from training.networks import Network
from training.networks.classes import Classes
from training.recipe import of_pictures

TEN, TWO, THREE_LABELS = Classes("multiclass", 10), Classes("binary", 2), Classes("multilabel", 3)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("digits", 67_642),
        ("mnist-dense", 407_050),
        ("fashion-dense", 407_050),
        ("sprites-dense", 4_320_201),
        ("sprites-dense-2", 4_327_241),
        ("mnist", 93_322),
        ("fashion", 93_322),
        ("sprites", 69_405),
        ("cifar10", 550_570),
        ("cats-and-dogs", 3_453_121),
    ],
)
def test_the_networks_have_their_known_number_of_parameters(name: str, parameters: int) -> None:
    assert recipe.load(name, []).build().count_params() == parameters


def network(*changes: str) -> Network:
    """The network of `digits` with some keys changed."""
    return of_pictures("digits", list(changes)).network


def test_a_model_takes_uint8_pixels_and_scales_them_itself() -> None:
    model = network().build((28, 28, 1), TEN)
    assert (model.input.dtype, model.input.shape) == ("uint8", (None, 28, 28, 1))
    rescaled = model.layers[1](np.array([[[[0], [255]]]], np.uint8))
    np.testing.assert_allclose(np.ravel(rescaled), [-1, 1])


def test_many_classes_end_in_a_softmax_and_two_in_one_sigmoid() -> None:
    pixels = np.zeros((2, 28, 28, 1), np.uint8)
    many, two, any_of = (np.asarray(network().build((28, 28, 1), each)(pixels)) for each in (TEN, TWO, THREE_LABELS))
    np.testing.assert_allclose(many.sum(axis=1), 1, rtol=1e-5)
    assert (many.shape, two.shape, any_of.shape) == ((2, 10), (2, 1), (2, 3))
    for sigmoids in (two, any_of):
        assert ((sigmoids > 0) & (sigmoids < 1)).all()


@pytest.mark.parametrize(
    ("blocks", "place"),
    [
        ("[{filters=1, kernel=29, pool=1, dropout=0.0}]", "blocks[0] does not fit: its kernel of 29"),
        (
            "[{filters=1, kernel=3, pool=9, dropout=0.0}, {filters=1, kernel=1, pool=3, dropout=0.0}]",
            "blocks[1] does not fit: its kernel of 1",
        ),
    ],
)
def test_blocks_that_shrink_the_map_to_nothing_are_refused_by_name(blocks: str, place: str) -> None:
    with pytest.raises(RecipeError) as refusal:
        network(f"network.blocks={blocks}").build((28, 28, 1), TEN)
    assert place in str(refusal.value)
