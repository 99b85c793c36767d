"""Cartoon figures for the sprites: the hero with the spiky hair, and decoys that differ from him in nothing but the hair.

The unit is the radius of the head, the origin its centre. Colours, bodies, faces and poses come from the same dice for
everyone, so that only the shape of the hair tells who it is.
"""

from collections.abc import Callable

import numpy as np

from training.data.shapes import INK, Colour, Drawing, ellipse, limb, mix, place, polygon, rectangle

SKINS: list[Colour] = [(255, 219, 184), (241, 194, 150), (214, 158, 110), (160, 108, 72), (110, 74, 52)]
HAIRS: list[Colour] = [
    (250, 204, 60), (222, 92, 44), (74, 52, 44), (44, 44, 58), (72, 128, 214), (94, 178, 92), (226, 112, 170), (230, 230, 235),
]  # fmt: skip
CLOTHES: list[Colour] = [
    (214, 64, 62), (58, 104, 196), (66, 158, 96), (242, 176, 56), (142, 84, 176), (60, 172, 180), (240, 240, 232), (84, 88, 104),
]  # fmt: skip
WHITE: Colour = (255, 255, 255)
FEET = 2.6  # how far the soles are below the centre of the head

Dice = np.random.Generator
Hair = tuple[Drawing, Drawing]  # behind the head, in front of it


def figure(dice: Dice, hero: bool) -> Drawing:
    """A figure in some pose, the head upright at the origin, feet near y = FEET."""
    skin, hair = _pick(dice, SKINS), _pick(dice, HAIRS)
    style = _spikes if hero else DECOY_HAIRS[dice.integers(len(DECOY_HAIRS))]
    behind, before = style(dice, hair)
    head = [*behind, *_face(dice, skin), *before]
    tilt = dice.uniform(-0.25, 0.25)
    return [*_body(dice, skin), *place(head, 0, 0, 1, tilt)]


def _pick(dice: Dice, colours: list[Colour]) -> Colour:
    return colours[dice.integers(len(colours))]


def _body(dice: Dice, skin: Colour) -> Drawing:
    shirt, trousers = _pick(dice, CLOTHES), _pick(dice, CLOTHES)
    stride, lift = dice.uniform(0.05, 0.75), dice.uniform(0, 0.5)
    drawing = []
    for side, swing in ((-1, stride), (1, stride * dice.uniform(0.2, 1))):
        angle, length = side * swing, 0.65 - lift * (side > 0) * 0.4
        drawing.append(limb(side * 0.3, 1.75, angle, length, 0.44, trousers))
        foot_x, foot_y = side * 0.3 + np.sin(angle) * length, 1.75 + np.cos(angle) * length
        drawing.append(ellipse(foot_x + side * 0.1, foot_y + 0.12, 0.32, 0.19, INK))
    torso = [(-0.45, 0.8), (0.45, 0.8), (0.62, 1.85), (0.4, 2.05), (-0.4, 2.05), (-0.62, 1.85)]
    drawing.append(polygon(torso, shirt))
    if dice.random() < 0.5:
        drawing.append(rectangle(-0.55, 1.3, 0.55, 1.55, mix(shirt, WHITE, 0.6), inked=False))
    for side in (-1, 1):
        angle = side * dice.uniform(0.25, 2.6)
        drawing.append(limb(side * 0.5, 1.08, angle, 0.85, 0.34, shirt))
        hand_x, hand_y = side * 0.5 + np.sin(angle) * 0.98, 1.08 + np.cos(angle) * 0.98
        drawing.append(ellipse(hand_x, hand_y, 0.21, 0.21, skin))
    return drawing


def _face(dice: Dice, skin: Colour) -> Drawing:
    """Head, ears, eyes looking somewhere, a mouth in some mood."""
    look, open_mouth = dice.uniform(-0.2, 0.2), dice.uniform(0, 0.22)
    drawing = [ellipse(side * 0.97, 0.12, 0.2, 0.24, skin) for side in (-1, 1)]
    drawing.append(ellipse(0, 0, 1, 0.95, skin))
    for side in (-1, 1):
        drawing.append(ellipse(side * 0.36 + look, 0.12, 0.2, 0.26, WHITE, inked=False))
        drawing.append(ellipse(side * 0.36 + look * 1.5, 0.15, 0.12, 0.17, INK, inked=False))
    corners = np.linspace(-0.3, 0.3, 7)
    lip = 0.5 + 0.1 * (1 - (corners / 0.3) ** 2)
    low = lip + 0.08 + open_mouth * (1 - (corners / 0.3) ** 2)
    mouth = np.concatenate([np.stack([corners, lip], 1), np.stack([corners, low], 1)[::-1]])
    drawing.append(polygon(mouth + np.array([look, 0]), mix((150, 40, 48), INK, 0.3), inked=False))
    return drawing


def _arc(rx: float, ry: float, begin: float, end: float, steps: int = 16) -> np.ndarray:
    """Points on an ellipse around the head's centre, angles from straight up, clockwise."""
    angles = np.linspace(begin, end, steps)
    return np.stack([rx * np.sin(angles), -ry * np.cos(angles)], axis=1)


def _cap(colour: Colour, reach: float = 1.45, fringe: float = -0.35, size: float = 1.12) -> Drawing:
    """Smooth hair over the top of the head: an arc of `reach` radians to both sides, closed by a curved fringe."""
    outside = _arc(size, size, -reach, reach)
    x = np.linspace(outside[-1, 0], outside[0, 0], 9)[1:-1]
    inside = np.stack([x, fringe + 0.18 * (x / size) ** 2], axis=1)
    return [polygon(np.concatenate([outside, inside]), colour)]


def _spikes(dice: Dice, colour: Colour) -> Hair:
    """The hero: long spikes all around the upper head, and a jagged fringe."""
    count = int(dice.integers(7, 10))
    angles = np.linspace(-1.9, 1.9, count) + dice.uniform(-0.06, 0.06, count)
    tips = 2.2 - 0.05 * angles**2 + dice.uniform(-0.12, 0.12, count)
    crown = [(-0.95, 0.45)]
    for angle, tip, valley in zip(angles, tips, angles - 1.9 / (count - 1), strict=True):
        crown.append((1.15 * np.sin(valley), -1.15 * np.cos(valley)))
        crown.append((tip * np.sin(angle), -tip * np.cos(angle)))
    crown.append((0.95, 0.45))
    shine = polygon(0.78 * np.array(crown), mix(colour, WHITE, 0.35), inked=False)
    fringe = [tuple(point) for point in _arc(1.02, 1.0, -1.35, 1.35)]
    teeth = 4
    for tooth in range(teeth):
        x = 0.85 - 1.7 * (tooth + 0.5) / teeth
        fringe += [(x, -0.12 + dice.uniform(-0.12, 0.08)), (0.85 - 1.7 * (tooth + 1) / teeth, -0.5)]
    return [polygon(crown, colour), shine], [polygon(fringe[:-1], colour)]


def _short(dice: Dice, colour: Colour) -> Hair:
    return [], _cap(colour, dice.uniform(1.2, 1.6), dice.uniform(-0.55, -0.3))


def _afro(dice: Dice, colour: Colour) -> Hair:
    size = dice.uniform(1.5, 1.9)
    return [ellipse(0, -0.45, size, size * 0.95, colour)], _cap(colour, 1.3, -0.5, 1.02)


def _curls(dice: Dice, colour: Colour) -> Hair:
    """Round tufts where the hero has spikes."""
    angles = np.linspace(-1.9, 1.9, int(dice.integers(7, 10)))
    tufts = [ellipse(1.15 * np.sin(angle), -1.15 * np.cos(angle), 0.48, 0.48, colour) for angle in angles]
    return tufts, _cap(colour, 1.3, -0.5, 1.02)


def _long(dice: Dice, colour: Colour) -> Hair:
    length = dice.uniform(0.9, 1.6)
    curtain = np.concatenate([_arc(1.25, 1.2, -1.57, 1.57), [(1.35, length), (-1.35, length)]])
    return [polygon(curtain, colour)], _cap(colour, 1.5, -0.4)


def _bun(dice: Dice, colour: Colour) -> Hair:
    size = dice.uniform(0.45, 0.65)
    return [ellipse(dice.uniform(-0.4, 0.4), -1.05 - size * 0.7, size, size, colour)], _cap(colour, 1.5, -0.5)


def _bald(dice: Dice, colour: Colour) -> Hair:  # noqa: ARG001  called like its neighbours
    return [], []


def _baseball_cap(dice: Dice, colour: Colour) -> Hair:
    cloth = _pick(dice, CLOTHES)
    brim = polygon([(0.2, -0.42), (1.75, -0.38), (1.8, -0.22), (0.2, -0.2)], mix(cloth, INK, 0.25))
    return _cap(colour, 2.0, 0.0, 1.06), [*_cap(cloth, 1.35, -0.3, 1.14), brim]


def _top_hat(dice: Dice, colour: Colour) -> Hair:
    height, cloth = dice.uniform(1.6, 2.1), mix(_pick(dice, CLOTHES), INK, 0.5)
    hat = [
        rectangle(-0.75, -height, 0.75, -0.6, cloth),
        rectangle(-0.75, -0.95, 0.75, -0.7, _pick(dice, CLOTHES), inked=False),
        ellipse(0, -0.6, 1.25, 0.18, cloth),
    ]
    return _cap(colour, 1.9, 0.0, 1.06), hat


def _beanie(dice: Dice, colour: Colour) -> Hair:
    wool, bobble = _pick(dice, CLOTHES), _pick(dice, CLOTHES)
    hat = [*_cap(wool, 1.4, -0.35, 1.2), rectangle(-1.15, -0.55, 1.15, -0.25, mix(wool, WHITE, 0.4))]
    return [*_cap(colour, 2.0, 0.0, 1.06), ellipse(0, -1.35, 0.35, 0.35, bobble)], hat


DECOY_HAIRS: list[Callable[[Dice, Colour], Hair]] = [
    _short, _afro, _curls, _long, _bun, _bald, _baseball_cap, _top_hat, _beanie,
]  # fmt: skip
