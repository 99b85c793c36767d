"""Where the sprites' figures are: backgrounds, and clutter that hides, distracts and, at times, has spikes of its own.

Things stand on the origin and are one unit high. A background is a sky (two colours, top and horizon) with shapes on it,
in pixels of the final picture.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from training.data.shapes import INK, Colour, Drawing, Shape, ellipse, limb, mix, polygon, rectangle, star

WIDTH, HEIGHT = 160, 90
Dice = np.random.Generator

BRIGHT: list[Colour] = [
    (236, 88, 80), (250, 190, 70), (90, 178, 106), (80, 146, 220), (166, 104, 200), (240, 240, 236), (96, 196, 200), (244, 144, 180),
]  # fmt: skip
WOOD: Colour = (150, 102, 62)
LEAVES: list[Colour] = [(66, 140, 74), (104, 168, 72), (44, 112, 84), (196, 132, 52)]
STONE: Colour = (150, 148, 156)
WHITE: Colour = (255, 255, 255)


@dataclass(frozen=True)
class Background:
    """A sky that fades from `top` to `horizon`, and what lies in front of it."""

    top: Colour
    horizon: Colour
    shapes: Drawing


def _pick(dice: Dice, colours: list[Colour]) -> Colour:
    return colours[dice.integers(len(colours))]


def _ridge(dice: Dice, level: float, swing: float, fill: Colour, smooth: bool) -> Shape:
    """A skyline across the picture around y = `level`, filled down to the bottom."""
    x = np.linspace(0, WIDTH, 33 if smooth else 12)
    if smooth:
        waves = sum(np.sin(x / dice.uniform(9, 30) + dice.uniform(0, 6)) / wave for wave in (1, 2))
    else:
        waves = dice.uniform(-1.4, 1.4, len(x))
    line = np.stack([x, level + swing * waves], axis=1)
    return polygon([*line.tolist(), (WIDTH, HEIGHT), (0, HEIGHT)], fill, inked=False)


def _meadow(dice: Dice) -> Background:
    hills = [(0.0, (132, 190, 120)), (14.0, (112, 178, 92)), (28.0, (92, 160, 76))]
    level = dice.uniform(42, 56)
    return Background(
        (112, 186, 240), (220, 240, 250), [_ridge(dice, level + down, 4, colour, smooth=True) for down, colour in hills]
    )


def _desert(dice: Dice) -> Background:
    level = dice.uniform(46, 60)
    dunes = [(0.0, (226, 180, 116)), (12.0, (236, 196, 132)), (24.0, (222, 176, 108))]
    return Background(
        (250, 176, 110), (255, 232, 190), [_ridge(dice, level + down, 5, colour, smooth=True) for down, colour in dunes]
    )


def _beach(dice: Dice) -> Background:
    level = dice.uniform(34, 46)
    sea = [
        rectangle(0, level + down, WIDTH, HEIGHT, mix((40, 120, 190), (120, 214, 222), down / 16), inked=False)
        for down in (0, 4, 9, 15)
    ]
    return Background(
        (126, 200, 248), (236, 248, 252), [*sea, _ridge(dice, level + 26, 3, (242, 222, 172), smooth=True)]
    )


def _mountains(dice: Dice) -> Background:
    level = dice.uniform(30, 42)
    return Background(
        (134, 172, 226),
        (238, 226, 236),
        [
            _ridge(dice, level, 11, (150, 158, 196), smooth=False),
            _ridge(dice, level + 14, 8, (112, 124, 168), smooth=False),
            _ridge(dice, level + 34, 3, (232, 238, 246), smooth=True),
        ],
    )


def _town(dice: Dice) -> Background:
    walls: list[Colour] = [(206, 140, 116), (222, 190, 150), (150, 160, 184), (178, 128, 140), (196, 204, 206)]
    floor, x, shapes = dice.uniform(60, 72), -6.0, []
    while x < WIDTH:
        width, top = dice.uniform(16, 30), dice.uniform(12, 44)
        shapes.append(rectangle(x, top, x + width, floor, _pick(dice, walls), inked=False))
        glass = _pick(dice, [(250, 226, 140), (110, 130, 170), (200, 226, 240)])
        shapes += [
            rectangle(x + across, down, x + across + 3.5, down + 5, glass, inked=False)
            for across in np.arange(3, width - 5, 7)
            for down in np.arange(top + 4, floor - 7, 10)
        ]
        x += width
    street = rectangle(0, floor, WIDTH, HEIGHT, (140, 140, 150), inked=False)
    kerb = rectangle(0, floor, WIDTH, floor + 3, (196, 194, 194), inked=False)
    return Background((150, 206, 240), (246, 236, 220), [*shapes, street, kerb])


def _forest(dice: Dice) -> Background:
    level = dice.uniform(54, 66)
    trunks = []
    for x in np.arange(dice.uniform(-4, 8), WIDTH, dice.uniform(15, 24)):
        wide, lean = dice.uniform(4, 9), dice.uniform(-5, 5)
        colour = mix((92, 84, 70), (128, 160, 120), dice.uniform(0.2, 0.7))
        trunks.append(
            polygon([(x + lean, 0), (x + lean + wide, 0), (x + wide * 1.3, 90), (x, 90)], colour, inked=False)
        )
    return Background(
        (58, 110, 84),
        (176, 214, 150),
        [
            *trunks,
            _ridge(dice, level, 3, (84, 136, 78), smooth=True),
            _ridge(dice, level + 14, 3, (66, 116, 68), smooth=True),
        ],
    )


def _night(dice: Dice) -> Background:
    level = dice.uniform(52, 64)
    x, y = dice.uniform(0, WIDTH, 26), dice.uniform(0, 46, 26)
    lights = [ellipse(left, top, 0.7, 0.7, (255, 248, 210), inked=False) for left, top in zip(x, y, strict=True)]
    return Background(
        (30, 36, 84),
        (104, 92, 150),
        [
            *lights,
            _ridge(dice, level, 5, (62, 70, 116), smooth=True),
            _ridge(dice, level + 16, 4, (48, 58, 92), smooth=True),
        ],
    )


def _room(dice: Dice) -> Background:
    wall, floor = (
        _pick(dice, [(238, 214, 176), (178, 208, 214), (222, 188, 196), (196, 206, 168)]),
        dice.uniform(56, 68),
    )
    stripes = [
        rectangle(x, 0, x + 6, floor, mix(wall, WHITE, 0.25), inked=False)
        for x in np.arange(dice.uniform(0, 12), WIDTH, 14)
    ]
    boards = [rectangle(0, floor + down, WIDTH, HEIGHT, mix(WOOD, INK, down / 120), inked=False) for down in (0, 8, 18)]
    skirting = rectangle(0, floor - 3, WIDTH, floor, mix(wall, WHITE, 0.7), inked=False)
    return Background(wall, wall, [*stripes, *boards, skirting])


BACKGROUNDS: list[Callable[[Dice], Background]] = [_meadow, _desert, _beach, _mountains, _town, _forest, _night, _room]


def _tree(dice: Dice) -> Drawing:
    leaf = _pick(dice, LEAVES)
    crown = [(-0.2, -0.6, 0.24), (0.2, -0.6, 0.24), (0, -0.76, 0.27)]
    return [rectangle(-0.07, -0.5, 0.07, 0, WOOD), *(ellipse(x, y, r, r, leaf) for x, y, r in crown)]


def _pine(dice: Dice) -> Drawing:
    leaf = _pick(dice, LEAVES)
    tiers = [polygon([(-w, -y), (0, -y - 0.42), (w, -y)], leaf) for w, y in ((0.34, 0.15), (0.27, 0.38), (0.2, 0.6))]
    return [rectangle(-0.06, -0.2, 0.06, 0, WOOD), *tiers]


def _bush(dice: Dice) -> Drawing:
    leaf = _pick(dice, LEAVES)
    return [ellipse(x, -y, r, r, leaf) for x, y, r in ((-0.5, 0.32, 0.33), (0.5, 0.3, 0.33), (0, 0.5, 0.48))]


def _agave(dice: Dice) -> Drawing:
    """A plant of pointed leaves: half a star."""
    leaf, blades = _pick(dice, LEAVES), int(dice.integers(5, 8))
    angles = np.linspace(-1.35, 1.35, blades)
    return [
        polygon([(-0.09, 0), (np.sin(a) * 0.95, -np.cos(a) * 0.95), (0.09, 0)], mix(leaf, WHITE, 0.1)) for a in angles
    ]


def _cactus(dice: Dice) -> Drawing:
    leaf = mix(_pick(dice, LEAVES[:3]), (80, 170, 90), 0.5)
    arms = [limb(0, -0.35, np.pi / 2, 0.22, 0.15, leaf), limb(0, -0.5, -np.pi / 2, 0.22, 0.15, leaf)]
    tips = [limb(0.22, -0.35, np.pi, 0.2, 0.15, leaf), limb(-0.22, -0.5, np.pi, 0.22, 0.15, leaf)]
    thorns = [
        polygon([(side * 0.11, -y), (side * 0.2, -y - 0.04), (side * 0.11, -y - 0.06)], WHITE, inked=False)
        for side in (-1, 1)
        for y in (0.12, 0.68, 0.8)
    ]
    return [*arms, *tips, limb(0, 0, np.pi, 0.88, 0.25, leaf), *thorns]


def _rock(dice: Dice) -> Drawing:
    angles = np.linspace(-np.pi / 2, np.pi / 2, 7)
    radii = dice.uniform(0.75, 1, 7)
    return [polygon(np.stack([np.sin(angles) * radii * 0.8, -np.cos(angles) * radii], axis=1), STONE)]


def _crate(dice: Dice) -> Drawing:
    wood = mix(WOOD, _pick(dice, BRIGHT), 0.25)
    plank = polygon([(-0.5, 0), (-0.3, 0), (0.5, -1), (0.3, -1)], mix(wood, INK, 0.25), inked=False)
    return [rectangle(-0.5, -1, 0.5, 0, wood), plank]


def _fence(dice: Dice) -> Drawing:
    paint = mix(_pick(dice, BRIGHT), WHITE, 0.5)
    rails = [rectangle(-1, -y - 0.12, 1, -y, paint) for y in (0.2, 0.6)]
    return [*rails, *(rectangle(x - 0.1, -0.95, x + 0.1, 0, paint) for x in (-0.8, -0.3, 0.3, 0.8))]


def _house(dice: Dice) -> Drawing:
    return [
        rectangle(-0.42, -0.58, 0.42, 0, mix(_pick(dice, BRIGHT), WHITE, 0.5)),
        polygon([(-0.52, -0.56), (0, -1), (0.52, -0.56)], _pick(dice, BRIGHT)),
        rectangle(-0.1, -0.32, 0.1, 0, WOOD),
        rectangle(0.17, -0.44, 0.33, -0.26, (200, 228, 244)),
    ]


def _mushroom(dice: Dice) -> Drawing:
    bow = np.linspace(-np.pi / 2, np.pi / 2, 12)
    cap = np.stack([np.sin(bow) * 0.55, -0.45 - np.cos(bow) * 0.5], axis=1)
    spots = [ellipse(x, y, 0.09, 0.08, WHITE, inked=False) for x, y in ((-0.25, -0.62), (0.08, -0.76), (0.3, -0.58))]
    return [rectangle(-0.17, -0.5, 0.17, 0, (244, 232, 210)), polygon(cap, _pick(dice, BRIGHT)), *spots]


def _flower(dice: Dice) -> Drawing:
    petal = _pick(dice, BRIGHT)
    petals = [ellipse(np.sin(a) * 0.2, -0.72 - np.cos(a) * 0.2, 0.14, 0.14, petal) for a in np.arange(6) * np.pi / 3]
    return [rectangle(-0.03, -0.6, 0.03, 0, LEAVES[0]), *petals, ellipse(0, -0.72, 0.12, 0.12, BRIGHT[1])]


def _balloon(dice: Dice) -> Drawing:
    rubber = _pick(dice, BRIGHT)
    glint = ellipse(-0.12, -0.78, 0.06, 0.09, mix(rubber, WHITE, 0.7), inked=False)
    return [rectangle(-0.01, -0.45, 0.01, 0, INK, inked=False), ellipse(0, -0.7, 0.27, 0.32, rubber), glint]


def _cloud(dice: Dice) -> Drawing:  # noqa: ARG001  called like its neighbours
    puffs = [(-0.7, 0.35, 0.36), (0.7, 0.33, 0.34), (0.2, 0.58, 0.46), (-0.3, 0.52, 0.4), (0, 0.3, 0.34)]
    return [ellipse(x, -y, r, r * 0.85, (250, 250, 252), inked=False) for x, y, r in puffs]


def _star(dice: Dice) -> Drawing:
    return [star(0, -0.5, 0.52, dice.uniform(0.2, 0.26), 5, dice.uniform(0, 1.2), _pick(dice, BRIGHT))]


def _sun(dice: Dice) -> Drawing:
    """A disc with rays all around: a spiky head without a face."""
    warm = mix(_pick(dice, BRIGHT), (250, 190, 60), 0.5)
    rays = star(0, -0.5, 0.52, 0.34, int(dice.integers(9, 14)), dice.uniform(0, 1), warm)
    return [rays, ellipse(0, -0.5, 0.3, 0.3, mix(warm, WHITE, 0.45), inked=False)]


def _burst(dice: Dice) -> Drawing:
    """The jagged bubble of a comic strip's bang."""
    points = int(dice.integers(8, 12))
    paper = _pick(dice, BRIGHT)
    outer = star(0, -0.5, dice.uniform(0.42, 0.56, points), 0.3, points, dice.uniform(0, 1), paper)
    return [outer, star(0, -0.5, 0.3, 0.17, points, 0.3, mix(paper, WHITE, 0.6))]


GROUNDED: list[Callable[[Dice], Drawing]] = [
    _tree, _pine, _bush, _agave, _cactus, _rock, _crate, _fence, _house, _mushroom, _flower,
]  # fmt: skip
FLYING: list[Callable[[Dice], Drawing]] = [_balloon, _cloud, _star, _sun, _burst]
COVERS: list[Callable[[Dice], Drawing]] = [_bush, _rock, _crate, _fence, _agave]
