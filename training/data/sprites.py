"""Generated cartoon scenes: is the hero with the spiky hair somewhere in the picture?

Made to be explained: the box of the hero is known, so that it can be checked where a heatmap points. Scenes with and
without him are drawn by the same dice (background, light, clutter, decoys); he is then added to some. Nothing but he
himself can tell the two apart.

Every scene has dice of its own, seeded by the data set's seed and its number, so that any one can be drawn by itself.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, ClassVar

import msgspec
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bundle import strict
from bundle.manifest import Kind, Positive
from training.data import figures, scenery
from training.data.dataset import Box, Dataset, Pictures, Split, SplitName
from training.data.scenery import HEIGHT, WIDTH, Background, Dice
from training.data.shapes import SUPERSAMPLING, Colour, Drawing, extent, mix, paint, place
from training.errors import RecipeError

LIGHTS: list[Colour] = [(255, 255, 255), (255, 196, 130), (90, 100, 190), (60, 60, 90), (255, 170, 190)]


@dataclass(frozen=True)
class Thing:
    """Something placed in a scene, in pixels; what has the lower base is in front."""

    base: float
    drawing: Drawing


@dataclass(frozen=True)
class Figure:
    """A placed figure and what stands in front of it."""

    head: NDArray[np.float64]  # x, y of its centre
    unit: float  # the head's radius
    body: Thing
    covers: list[Thing]


@dataclass(frozen=True)
class Scene:
    """Everything that is needed to draw a scene."""

    background: Background
    light: Colour
    strength: float  # of the light's tint, 0..1
    things: list[Drawing]  # back to front
    box: Box | None  # of the hero, hair to shoes, where he is in the picture, hidden parts included


class Sprites(strict.Document, frozen=True, tag_field="name", tag="sprites"):
    """Recipe keys of the sprites; what is in neither training nor validation is the test split."""

    with_hero: Positive
    without: Positive
    train: Positive
    validation: Positive
    seed: Annotated[int, msgspec.Meta(ge=0)]  # of all scenes and of the division into splits

    kind: ClassVar[Kind] = "binary"
    labels: ClassVar[list[str]] = ["no hero", "hero"]

    def load(self) -> Dataset:
        """Scenes of 90x160 (height, width) RGB, drawn when asked for. Raises RecipeError when the splits do not add up."""
        total = self.with_hero + self.without
        if self.train + self.validation >= total:
            raise RecipeError(f"data.train + data.validation leave nothing to test on: there are {total} scenes")
        heroes = np.repeat([1, 0], [self.with_hero, self.without])
        labels = np.random.default_rng(self.seed).permutation(heroes).astype(np.int64)
        first = self.train, self.train + self.validation
        names: tuple[SplitName, ...] = ("train", "validation", "test")
        splits = {}
        for name, numbers in zip(names, np.split(np.arange(total), first), strict=True):
            scenes = Scenes(self.seed, numbers, labels[numbers])
            splits[name] = Split(scenes, labels[numbers], scenes.box)
        return Dataset("sprites", self.kind, self.labels, splits)


@dataclass(frozen=True)
class Scenes(Pictures):
    """Scenes by position in a split."""

    seed: int
    numbers: NDArray[np.int64]  # [N] in the whole set
    labels: NDArray[np.int64]  # [N]

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: int) -> Image.Image:
        return draw(self._plan(index))

    def box(self, index: int) -> Box | None:
        """Where the hero is, None without him."""
        return self._plan(index).box

    def _plan(self, index: int) -> Scene:
        return plan(np.random.default_rng([self.seed, self.numbers[index]]), hero=bool(self.labels[index]))


def plan(dice: Dice, hero: bool) -> Scene:
    """Rolls a scene. The hero's dice come last: up to him, scenes with and without him are the same."""
    background = scenery.BACKGROUNDS[dice.integers(len(scenery.BACKGROUNDS))](dice)
    light, strength = LIGHTS[dice.integers(len(LIGHTS))], dice.uniform(0, 0.3)
    things = [_grounded(dice) for _ in range(dice.integers(3, 7))]
    things += [_flying(dice) for _ in range(dice.integers(1, 4))]
    for _ in range(dice.integers(0, 4)):
        decoy = _figure(dice, hero=False)
        things += [decoy.body, *decoy.covers]
    box = None
    if hero:
        figure = _visible_hero(dice, things)
        things += [figure.body, *figure.covers]
        box = _clipped(figure.body.drawing)
    return Scene(
        background, light, strength, [thing.drawing for thing in sorted(things, key=lambda one: one.base)], box
    )


def draw(scene: Scene) -> Image.Image:
    """The scene as an RGB picture of 160x90."""
    top, horizon = (
        mix(colour, scene.light, scene.strength) for colour in (scene.background.top, scene.background.horizon)
    )
    fade = np.linspace(top, horizon, HEIGHT * SUPERSAMPLING).astype(np.uint8)[:, None]
    canvas = Image.fromarray(np.repeat(fade, WIDTH * SUPERSAMPLING, axis=1))
    paint(canvas, scene.background.shapes, scene.light, scene.strength)
    for drawing in scene.things:
        paint(canvas, drawing, scene.light, scene.strength)
    return canvas.reduce(SUPERSAMPLING)


def _grounded(dice: Dice) -> Thing:
    return _thing(dice, scenery.GROUNDED, (14, 40), (50, 96))


def _flying(dice: Dice) -> Thing:
    return _thing(dice, scenery.FLYING, (12, 30), (14, 62))


def _thing(
    dice: Dice, kinds: list[Callable[[Dice], Drawing]], sizes: tuple[float, float], bases: tuple[float, float]
) -> Thing:
    size, base = dice.uniform(*sizes), dice.uniform(*bases)
    drawing = kinds[dice.integers(len(kinds))](dice)
    return Thing(
        base, place(drawing, dice.uniform(0, WIDTH), base, size, dice.uniform(-0.12, 0.12), dice.random() < 0.5)
    )


def _figure(dice: Dice, hero: bool) -> Figure:
    """A figure somewhere, at most a bit of it outside; every other one has something standing in front of its legs."""
    unit = dice.uniform(9.5, 13.5)
    x, y = dice.uniform(1.3 * unit, WIDTH - 1.3 * unit), dice.uniform(1.5 * unit, HEIGHT - 2.4 * unit)
    turn, mirror = dice.normal(0, 0.15), dice.random() < 0.5
    body = Thing(y + figures.FEET * unit, place(figures.figure(dice, hero), x, y, unit, turn, mirror))
    covers = []
    if dice.random() < 0.5:
        aside, below, size = dice.uniform(-0.8, 0.8), body.base + 0.2 * unit, dice.uniform(1.2, 2.0) * unit
        cover = scenery.COVERS[dice.integers(len(scenery.COVERS))](dice)
        covers.append(Thing(body.base + 0.1, place(cover, x + aside * unit, below, size)))
    return Figure(np.array([x, y]), unit, body, covers)


def _visible_hero(dice: Dice, others: list[Thing]) -> Figure:
    """The hero where his head can be seen: the least hidden of a few throws, or the first that is hardly hidden."""
    throws = []
    for _ in range(30):
        hero = _figure(dice, hero=True)
        hidden = _hidden(hero, [thing for thing in others if thing.base > hero.body.base])
        if hidden < 0.15:
            return hero
        throws.append((hidden, hero))
    return min(throws, key=lambda throw: throw[0])[1]


def _hidden(figure: Figure, fronts: list[Thing]) -> float:
    """Share of head and hair that lies within the boxes of things in front: 0..1."""
    steps = np.linspace(-1.5, 1.5, 7)
    points = figure.head + figure.unit * (np.stack(np.meshgrid(steps, steps - 0.4), axis=-1).reshape(-1, 2))
    hidden = np.zeros(len(points), bool)
    for thing in fronts:
        left, top, right, bottom = extent(thing.drawing)
        hidden |= ((points >= (left, top)) & (points <= (right, bottom))).all(axis=1)
    return float(hidden.mean())


def _clipped(drawing: Drawing) -> Box:
    """The pixels of the picture that the drawing's box touches."""
    left, top, right, bottom = extent(drawing)
    return max(0, int(left)), max(0, int(top)), min(WIDTH, int(np.ceil(right))), min(HEIGHT, int(np.ceil(bottom)))
