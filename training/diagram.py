"""network.png: the layers of a model as blocks, as high and deep as their maps and as wide as they have channels.

Drawn with matplotlib, because Keras' own `plot_model` needs the graphviz programs.
"""

from pathlib import Path

import keras
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Polygon

from training.style import DPI

COLOURS = {
    "InputLayer": "#9aa5b1",
    "Rescaling": "#c3cad2",
    "Conv2D": "#4c78a8",
    "MaxPooling2D": "#e45756",
    "GlobalAveragePooling2D": "#e45756",
    "Flatten": "#b8b0ac",
    "Dense": "#54a24b",
    "Dropout": "#eeca3b",
}
OTHER = "#b279a2"
TALLEST, GAP, COLUMN = 2.6, 0.35, 1.5  # inches
MOST = 30  # layers; more would be a strip that nobody can read


def draw(path: Path, model: keras.Model) -> None:
    """Draws `model`, a chain of layers, with each layer's name, type, output shape and number of parameters."""
    count = len(model.layers)
    figure = Figure(figsize=(COLUMN * count + 0.4, TALLEST + 2.3))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(-0.2, COLUMN * count + 0.2), ylim=(-TALLEST / 2 - 1.2, TALLEST / 2 + 1.1), aspect="equal")
    axes.set_axis_off()
    largest = max(max(_shape(layer)[:2]) for layer in model.layers if len(_shape(layer)) == 3)
    for number, layer in enumerate(model.layers):
        _layer(axes, COLUMN * (number + 0.5), layer, largest)
        if number:
            x = COLUMN * number
            axes.annotate("", (x + 0.1, 0), (x - 0.1, 0), arrowprops={"arrowstyle": "-|>", "color": "#777777"})
    axes.text(
        0, TALLEST / 2 + 0.75, f"{model.count_params():,} parameters", fontsize=13, fontweight="bold", va="center"
    )
    figure.savefig(path, dpi=DPI)


def _shape(layer: keras.Layer) -> tuple[int, ...]:
    return tuple(layer.output.shape[1:])


def _layer(axes: Axes, x: float, layer: keras.Layer, largest: int) -> None:
    """One layer around (x, 0), and the text about it."""
    shape, kind = _shape(layer), type(layer).__name__
    colour = COLOURS.get(kind, OTHER)
    top = _cuboid(axes, x, shape, largest, colour) if len(shape) == 3 else _column(axes, x, shape[0], colour)
    axes.text(x, top + 0.14, layer.name, ha="center", fontsize=9, fontweight="bold")
    weights = layer.count_params()
    text = [kind, " × ".join(map(str, shape)), f"{weights:,} parameters" if weights else ""]
    axes.text(
        x, -TALLEST / 2 - 0.15, "\n".join(text), ha="center", va="top", fontsize=7.5, color="#444444", linespacing=1.5
    )


def _cuboid(axes: Axes, x: float, shape: tuple[int, ...], largest: int, colour: str) -> float:
    """A map of (height, width, channels), seen from the side of its channels; returns the y of its upper edge."""
    height, width, channels = shape
    tall, deep = (0.12 + (TALLEST * 0.75 - 0.12) * np.sqrt(side / largest) for side in (height, width))
    thick = 0.05 + 0.07 * np.log2(channels + 1)
    lean = np.array([deep * 0.28, deep * 0.22])
    a = np.array([x - (thick + lean[0]) / 2, -(tall + lean[1]) / 2])
    right, up = np.array([thick, 0]), np.array([0, tall])
    faces = (
        ([a, a + right, a + right + up, a + up], 0.0),
        ([a + up, a + up + right, a + up + right + lean, a + up + lean], 0.35),
        ([a + right, a + right + lean, a + right + up + lean, a + right + up], -0.18),
    )
    for corners, light in faces:
        axes.add_patch(Polygon(corners, facecolor=_shade(colour, light), edgecolor="white", linewidth=0.8))
    return float(a[1] + tall + lean[1])


def _column(axes: Axes, x: float, units: int, colour: str) -> float:
    """A vector of `units`: a narrow column, taller the more there are; returns the y of its upper edge."""
    tall = 0.15 + 0.2 * np.log2(units)
    corners = [(x - 0.09, -tall / 2), (x + 0.09, -tall / 2), (x + 0.09, tall / 2), (x - 0.09, tall / 2)]
    axes.add_patch(Polygon(corners, facecolor=colour, edgecolor="white", linewidth=0.8))
    return float(tall / 2)


def _shade(colour: str, light: float) -> tuple[float, ...]:
    """The colour nearer to white (light > 0) or to black (light < 0)."""
    goal = 1.0 if light > 0 else 0.0
    return tuple(part + (goal - part) * abs(light) for part in to_rgb(colour))
