"""The generated scenes: the same from the same seed, alike with and without the hero, and boxes that are true."""

import numpy as np
import pytest
from PIL import Image, ImageChops

from training.data.shapes import Drawing
from training.data.sprites import draw, plan
from training.recipe import of_pictures

SEEDS = range(12)


def difference(one: Image.Image, other: Image.Image) -> tuple[int, int, int, int]:
    """The box of all pixels in which the pictures differ."""
    box = ImageChops.difference(one, other).getbbox()
    assert box is not None
    return box


def test_scenes_depend_on_the_seed_alone() -> None:
    first, again, other = (
        of_pictures("sprites", [f"data.seed={seed}"]).data.load().splits["test"] for seed in (1, 1, 2)
    )
    for index in range(4):
        assert first.pictures[index] == again.pictures[index]
        assert first.pictures[index] != other.pictures[index]


def test_the_whole_set_has_its_heroes() -> None:
    splits = of_pictures("sprites", []).data.load().splits.values()
    np.testing.assert_array_equal(sum(np.bincount(split.labels) for split in splits), [3046, 2211])


def test_scenes_are_colour_pictures_of_160_by_90() -> None:
    picture = of_pictures("sprites", []).data.load().splits["train"].pictures[0]
    assert (picture.size, picture.mode) == ((160, 90), "RGB")


def test_there_is_a_box_exactly_where_the_label_says_there_is_a_hero() -> None:
    split = of_pictures("sprites", []).data.load().splits["test"]
    assert split.box is not None
    for index in range(40):
        box = split.box(index)
        assert (box is not None) == (split.labels[index] == 1)
        if box:
            left, top, right, bottom = box
            assert 0 <= left < right <= 160
            assert 0 <= top < bottom <= 90


@pytest.mark.parametrize("seed", SEEDS)
def test_a_scene_with_the_hero_is_the_same_scene_with_something_added(seed: int) -> None:
    without, with_hero = (plan(np.random.default_rng(seed), hero=hero) for hero in (False, True))
    assert (without.light, without.strength) == (with_hero.light, with_hero.strength)

    def points(drawings: list[Drawing]) -> set[bytes]:
        return {b"".join(shape.points.tobytes() for shape in drawing) for drawing in drawings}

    assert points(without.things) < points(with_hero.things)
    assert len(with_hero.things) - len(without.things) in (1, 2)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_box_holds_the_pixels_of_the_hero(seed: int) -> None:
    without, with_hero = (plan(np.random.default_rng(seed), hero=hero) for hero in (False, True))
    assert with_hero.box is not None
    covered = len(with_hero.things) - len(without.things) == 2
    left, top, right, bottom = difference(draw(without), draw(with_hero))
    if not covered:
        assert left >= with_hero.box[0] - 1
        assert top >= with_hero.box[1] - 1
        assert right <= with_hero.box[2] + 1
        assert bottom <= with_hero.box[3] + 1
    assert abs(top - with_hero.box[1]) <= 3
