"""Recipes are strict: what is not exactly right is refused with the key and what was probably meant."""

from pathlib import Path

import pytest

from training import recipe
from training.errors import RecipeError
from training.recipe import of_pictures


@pytest.mark.parametrize("name", recipe.shipped())
def test_shipped_recipes_are_complete(name: str) -> None:
    assert recipe.load(name, []).summary


def test_a_recipe_can_be_a_file_of_ones_own(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text((Path(recipe.__file__).parent / "recipes" / "digits.toml").read_text())
    assert recipe.load(str(own), []) == recipe.load("digits", [])


def test_set_changes_one_key_and_nothing_else() -> None:
    changed = recipe.settings(recipe.load("digits", ["training.batch_size = 64"]))
    original = recipe.settings(recipe.load("digits", []))
    assert changed["training"].pop("batch_size") == 64
    assert original["training"].pop("batch_size") != 64
    assert changed == original


def test_set_takes_words_without_quotes_and_toml_values() -> None:
    changed = of_pictures("digits", ["network.head.vector=flatten", "network.head.dense=[16, 8]", "summary=two words"])
    assert (changed.network.head.vector, changed.network.head.dense, changed.summary) == (
        "flatten",
        [16, 8],
        "two words",
    )


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ("trainig.seed=3", "trainig: there is no key 'trainig'; did you mean training?"),
        ("training.sed=3", "training.sed: there is no key 'sed'; did you mean seed?"),
        ("network.blocks=[{filtres=3}]", "network.blocks[0].filtres: there is no key 'filtres'; did you mean filters?"),
        ("network.name=convolution", "network.name cannot be 'convolution'; did you mean convolutional?"),
        ("network.head.vector=avrage", "network.head.vector cannot be 'avrage'; did you mean average?"),
        ("preprocess.colour=red", "preprocess.colour cannot be 'red'; there are grey, rgb"),
        ("task=classify", "task cannot be 'classify'; did you mean classification?"),
        ("training.optimiser.name=adm", "training.optimiser.name cannot be 'adm'; did you mean adam?"),
        ("training.optimiser.momentum=0.9", "training.optimiser.momentum: there is no key 'momentum'"),
        ("training.schedule={name='step', every=2}", "missing required field `factor` - at `training.schedule`"),
        ("augmentation=[{name='flipp'}]", "augmentation[0].name cannot be 'flipp'; did you mean flip?"),
        ("data.name=dgits", "data.name cannot be 'dgits'; did you mean digits?"),
        ("training.epochs=many", "Expected `int`, got `str` - at `training.epochs`"),
        ("training.epochs=0", "Expected `int` >= 1 - at `training.epochs`"),
        ("training.epochs", "write it as key=value"),
        ("summary.words=3", "summary is a value and has no keys in it"),
        ("training=3", "Expected `object`, got `int` - at `training`"),
        ("network={blocks=[]}", "network.name cannot be None; there are convolutional, dense"),
        ("training={epochs=3}", "missing required field `batch_size` - at `training`"),
    ],
)
def test_a_wrong_key_or_value_is_refused_by_name(change: str, complaint: str) -> None:
    with pytest.raises(RecipeError) as refusal:
        recipe.load("digits", [change])
    assert complaint in str(refusal.value)


def test_an_unknown_recipe_is_refused_with_a_near_one() -> None:
    with pytest.raises(RecipeError, match="no recipe is called 'fashin'; did you mean fashion"):
        recipe.load("fashin", [])


def test_a_recipe_file_that_cannot_be_read_is_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"absent\.toml: cannot be read: No such file"):
        recipe.load(str(tmp_path / "absent.toml"), [])
    broken = tmp_path / "broken.toml"
    broken.write_text("summary = ")
    with pytest.raises(RecipeError, match=r"broken\.toml: not valid TOML"):
        recipe.load(str(broken), [])
