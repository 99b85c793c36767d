"""Flat coloured shapes: what the sprites are drawn from.

A drawing is a list of polygons in its own coordinates (y grows downwards); turning, scaling and placing it moves points
and needs no raster, so that the exact box of a figure is known without looking at pixels.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw

Colour = tuple[int, int, int]

INK: Colour = (38, 30, 44)
SUPERSAMPLING = 3  # drawn this much larger and averaged down: Pillow's polygons have hard edges


@dataclass(frozen=True)
class Shape:
    """A filled polygon, with an ink line around it or none."""

    points: NDArray[np.float64]  # [P, 2]: x, y
    fill: Colour
    inked: bool = True


Drawing = list[Shape]


def polygon(points: ArrayLike, fill: Colour, inked: bool = True) -> Shape:
    """The polygon through `points` [P, 2]."""
    return Shape(np.asarray(points, np.float64), fill, inked)


def ellipse(x: float, y: float, rx: float, ry: float, fill: Colour, inked: bool = True) -> Shape:
    """The ellipse around (x, y) with half axes rx and ry."""
    angles = np.linspace(0, 2 * np.pi, 22, endpoint=False)
    return Shape(np.stack([x + rx * np.cos(angles), y + ry * np.sin(angles)], axis=1), fill, inked)


def rectangle(left: float, top: float, right: float, bottom: float, fill: Colour, inked: bool = True) -> Shape:
    """An upright rectangle."""
    return polygon([(left, top), (right, top), (right, bottom), (left, bottom)], fill, inked)


def limb(x: float, y: float, angle: float, length: float, width: float, fill: Colour) -> Shape:
    """A stroke with round ends from (x, y), `angle` radians from straight down, positive towards +x."""
    along = np.array([np.sin(angle), np.cos(angle)])
    bow = np.linspace(0, np.pi, 7)
    end = np.stack([np.cos(bow), np.sin(bow)], axis=1) * width / 2
    turned = end @ np.array([[along[1], -along[0]], [along[0], along[1]]])
    start = np.array([x, y])
    return Shape(np.concatenate([start + along * length + turned, start - turned]), fill)


def star(x: float, y: float, outer: ArrayLike, inner: float, points: int, turn: float, fill: Colour) -> Shape:
    """A star: tips at radius `outer` (one number, or one per tip), valleys at `inner`, the first tip at angle `turn`."""
    radii = np.full(2 * points, inner)
    radii[::2] = outer
    angles = turn + np.arange(2 * points) * np.pi / points
    return Shape(np.stack([x + radii * np.sin(angles), y - radii * np.cos(angles)], axis=1), fill)


def place(drawing: Drawing, x: float, y: float, scale: float, turn: float = 0.0, mirror: bool = False) -> Drawing:
    """The drawing scaled, turned clockwise by `turn` radians, mirrored left to right if asked, its origin put at (x, y)."""
    sine, cosine = np.sin(turn) * scale, np.cos(turn) * scale
    matrix = np.array([[-cosine if mirror else cosine, sine * (-1 if mirror else 1)], [-sine, cosine]])
    return [Shape(shape.points @ matrix + (x, y), shape.fill, shape.inked) for shape in drawing]


def extent(drawing: Drawing) -> tuple[float, float, float, float]:
    """Left, top, right, bottom of all points."""
    points = np.concatenate([shape.points for shape in drawing])
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    return float(left), float(top), float(right), float(bottom)


def mix(colour: Colour, other: Colour, share: float) -> Colour:
    """`colour` with a `share` (0..1) of `other` in it."""
    red, green, blue = (round(one + (two - one) * share) for one, two in zip(colour, other, strict=True))
    return red, green, blue


def paint(canvas: Image.Image, shapes: Iterable[Shape], light: Colour, strength: float) -> None:
    """Draws `shapes`, given in pixels of the final picture, on a supersampled `canvas`, tinted by the scene's light."""
    pen = ImageDraw.Draw(canvas)
    for shape in shapes:
        points = [(x, y) for x, y in (shape.points * SUPERSAMPLING).tolist()]
        pen.polygon(points, fill=mix(shape.fill, light, strength))
        if shape.inked:
            pen.line([*points, points[0], points[1]], mix(INK, light, strength / 2), SUPERSAMPLING, joint="curve")
