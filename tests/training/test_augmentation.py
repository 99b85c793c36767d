"""Augmentation changes what training sees, and nothing else."""

from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from training import augmentation
from training.__main__ import app
from training.augmentation import Augmentation, Colour, Flip, Noise, Rotation, Shear, Shift, Zoom
from training.errors import RecipeError
from training.networks.classes import Classes
from training.recipe import of_pictures

STEPS: list[Augmentation] = [
    Flip(axis="horizontal"),
    Flip(axis="vertical"),
    Rotation(degrees=30, fill="nearest"),
    Shift(height=0.3, width=0.3, fill="wrap"),
    Shear(x=0.3, y=0.3, fill="reflect"),
    Zoom(share=0.4, fill=0),
    Noise(deviation=20),
    Colour(brightness=0.3, contrast=0.3, saturation=0.5, hue=0.2),
]


def pictures() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (8, 28, 32, 3), dtype=np.uint8)


@pytest.mark.parametrize("step", STEPS, ids=lambda step: type(step).__name__)
def test_each_step_gives_other_pictures_of_the_same_form_and_the_same_ones_again(step: Augmentation) -> None:
    before = pictures()
    after, again = (augmentation.augmented([step], before, seed=3) for _ in range(2))
    assert after.dtype == np.uint8
    assert after.shape == before.shape
    assert (after != before).any()
    np.testing.assert_array_equal(after, again)


def test_a_flip_turns_about_half_of_the_pictures_and_leaves_the_others_to_the_bit() -> None:
    before = np.random.default_rng(1).integers(0, 256, (64, 6, 6, 3), dtype=np.uint8)
    after = augmentation.augmented([Flip(axis="horizontal")], before, seed=1)
    turned = (after == before[:, :, ::-1]).all(axis=(1, 2, 3))
    same = (after == before).all(axis=(1, 2, 3))
    assert (turned ^ same).all()
    assert 16 < turned.sum() < 48


@pytest.mark.parametrize(("fill", "levels"), [(0, {0, 200}), (90, {90, 200}), ("nearest", {200}), ("wrap", {200})])
def test_what_is_behind_the_edge_is_as_the_recipe_says(fill: augmentation.Fill, levels: set[int]) -> None:
    bright = np.full((4, 8, 8, 1), 200, np.uint8)
    step = Shift(height=0.0, width=0.9, fill=fill)
    seen = augmentation.augmented([step], bright, seed=0)
    at_the_edges = {int(level) for level in np.unique(seen[:, :, [0, -1]])}
    assert at_the_edges <= {*range(min(levels), max(levels) + 1)}
    assert min(at_the_edges) == min(levels)


def test_the_kept_model_has_no_trace_of_augmentation_and_shares_the_weights() -> None:
    recipe = of_pictures("digits", [])
    model = recipe.network.build((28, 32, 3), Classes("binary", 2))
    learner = augmentation.before(model, STEPS, seed=1)
    assert not any("random" in type(layer).__name__.lower() for layer in model.layers)
    assert all(one is other for one, other in zip(learner.weights, model.weights, strict=True))
    np.testing.assert_array_equal(learner(pictures(), training=False), model(pictures(), training=False))
    assert (np.asarray(learner(pictures(), training=True)) != np.asarray(model(pictures(), training=True))).any()


def test_without_steps_the_model_itself_is_trained() -> None:
    model = keras.Sequential([keras.Input((2, 2, 1), dtype="uint8"), keras.layers.Flatten()])
    assert augmentation.before(model, [], seed=1) is model


@pytest.mark.parametrize("colour", [{"saturation": 0.1, "hue": 0.0}, {"saturation": 0.0, "hue": 0.1}])
def test_grey_pictures_have_no_colours_to_change(colour: dict[str, float]) -> None:
    with pytest.raises(RecipeError, match=r"augmentation\[0\]: grey pictures have no saturation"):
        augmentation.augmenter([Colour(brightness=0.1, contrast=0.1, **colour)], (8, 8, 1), seed=1)


def drawn(*arguments: str) -> tuple[int, str]:
    """What `python -m training augmentation` says on stderr, and its status."""
    result = CliRunner().invoke(app, ["augmentation", *arguments])
    return result.exit_code, result.stderr


def test_the_picture_shows_what_a_recipe_does(tmp_path: Path) -> None:
    out = tmp_path / "seen.png"
    status, error = drawn("digits", "--out", str(out), "--set", "augmentation=[{name='rotation', degrees=20, fill=0}]")
    assert status == 0, error
    with Image.open(out) as picture:
        assert min(picture.size) > 300


@pytest.mark.parametrize(
    ("recipe", "name", "reason"),
    [
        ("digits", "seen.png", "augmentation is empty"),
        ("cats-and-dogs", "seen.gif", "ends in .png or .webp"),
        ("cats-and-dogs", "there.png", "exists already"),
        ("penguins", "seen.png", "this is for recipes that classify pictures"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_one_line(recipe: str, name: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "there.png").touch()
    status, error = drawn(recipe, "--out", str(tmp_path / name))
    assert (status, error.count("\n")) == (2, 1)
    assert reason in error
