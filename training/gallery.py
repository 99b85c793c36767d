"""answers.png: what the model gets right and wrong, to look at before one believes an accuracy."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bundle.manifest import Kind
from training.answers import THRESHOLD, Answers
from training.data.dataset import balanced, strata
from training.style import DPI

RIGHT, WRONG = "#2e7d32", "#c62828"
# Inches.
_WIDTH = 13.0
_TITLE = 0.45  # above a block
_CAPTION = 0.4  # above a picture
_GAP = 0.08  # between pictures


@dataclass(frozen=True)
class Block:
    """A titled part of the gallery."""

    title: str
    colour: str
    members: NDArray[np.int64]  # positions of the pictures to show
    total: int  # pictures of this sort in the split


def draw(path: Path, kind: Kind, labels: list[str], test: Answers) -> None:
    """Right and wrong answers; for two classes true and false positives and negatives. Wrong ones: the surest first."""
    _, height, width, _ = test.pixels.shape
    columns = 6 if width > 1.5 * height else 12
    blocks = _four(labels, test, 2 * columns) if kind == "binary" else _two(test, 4 * columns)
    rows = [max(1, -(-len(block.members) // columns)) for block in blocks]
    wide = _WIDTH / columns
    tile = (wide - _GAP) * height / width + _GAP + _CAPTION
    tall = [_TITLE + count * tile for count in rows]
    figure = Figure(figsize=(_WIDTH, sum(tall)))
    # One pair of axes, in inches: a pair for each of a hundred pictures takes seconds.
    axes = figure.add_axes((0, 0, 1, 1))
    below = sum(tall)
    for block, count in zip(blocks, rows, strict=True):
        title = f"{block.title}: {block.total:,} of {len(test.labels):,}"
        axes.text(0.1, below - 0.1, title, color=block.colour, fontsize="large", fontweight="bold", va="top")
        for place, member in enumerate(block.members):
            row, column = divmod(place, columns)
            top = below - _TITLE - row * tile - _CAPTION
            extent = (column * wide + _GAP / 2, (column + 1) * wide - _GAP / 2, top - tile + _CAPTION + _GAP, top)
            _tile(axes, extent, test, member, labels, block.colour)
        below -= _TITLE + count * tile
    axes.set(xlim=(0, _WIDTH), ylim=(0, sum(tall)), aspect="equal")
    axes.set_axis_off()
    figure.savefig(path, dpi=DPI)


def _tile(
    axes: Axes, extent: tuple[float, float, float, float], test: Answers, member: int, labels: list[str], colour: str
) -> None:
    """The picture, as left, right, bottom and top in `extent`, and above it what was said of it."""
    pixels = test.pixels[member]
    axes.imshow(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels, cmap="gray", vmin=0, vmax=255, extent=extent)
    said = _named(
        labels, np.flatnonzero(test.probabilities[member] >= THRESHOLD) if test.multilabel else [test.predicted[member]]
    )
    probability = "" if test.multilabel else f" {test.sureness[member]:.2f}"
    truth = _named(labels, np.flatnonzero(test.labels[member]) if test.multilabel else [test.labels[member]])
    wrong = "" if test.right[member] else f"\nis {truth}"
    left, right, _, top = extent
    axes.text(
        (left + right) / 2, top + _GAP / 2, f"{said}{probability}{wrong}",
        fontsize=8, color=colour, ha="center", va="bottom",
    )  # fmt: skip


def _named(labels: list[str], members: Iterable[int]) -> str:
    return ", ".join(labels[member] for member in members) or "nothing"


def _two(test: Answers, count: int) -> list[Block]:
    return [
        _block("right", RIGHT, test.right, test, count),
        _block("wrong, the surest first", WRONG, ~test.right, test, count),
    ]


def _four(labels: list[str], test: Answers, count: int) -> list[Block]:
    is_there, said = test.labels == 1, test.predicted == 1
    name = labels[1]
    return [
        _block(f"true positives ({name}, found)", RIGHT, is_there & said, test, count),
        _block(f"false positives (no {name}, but “found”)", WRONG, ~is_there & said, test, count),
        _block(f"true negatives (no {name}, none found)", RIGHT, ~is_there & ~said, test, count),
        _block(f"false negatives ({name}, overlooked)", WRONG, is_there & ~said, test, count),
    ]


def _block(title: str, colour: str, chosen: NDArray[np.bool_], test: Answers, count: int) -> Block:
    """At most `count` of the `chosen` pictures: right ones evenly from all classes, wrong ones by how sure the model was."""
    members = np.flatnonzero(chosen)
    if colour == WRONG:
        shown = members[np.argsort(-test.sureness[members], kind="stable")][:count]
    else:
        classes = strata(test.labels)
        shown = members[balanced(classes[members], count, seed=0)]
        shown = shown[np.argsort(classes[shown], kind="stable")]
    return Block(title, colour, shown, len(members))
