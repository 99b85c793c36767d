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
    tall = [0.45 + count * (13 / columns * height / width + 0.4) for count in rows]  # inches
    figure = Figure(figsize=(13, sum(tall)), layout="constrained")
    parts = figure.subfigures(len(blocks), 1, squeeze=False, height_ratios=tall).flat
    for part, block, count in zip(parts, blocks, rows, strict=True):
        title = f"{block.title}: {block.total:,} of {len(test.labels):,}"
        part.suptitle(title, color=block.colour, fontweight="bold", x=0.01, ha="left")
        grid = part.subplots(count, columns, squeeze=False).ravel()
        for axes in grid:
            axes.set_axis_off()
        for axes, member in zip(grid, block.members, strict=False):
            _tile(axes, test, member, labels, block.colour)
    figure.savefig(path, dpi=DPI)


def _tile(axes: Axes, test: Answers, member: int, labels: list[str], colour: str) -> None:
    pixels = test.pixels[member]
    axes.imshow(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels, cmap="gray", vmin=0, vmax=255)
    said = _named(
        labels, np.flatnonzero(test.probabilities[member] >= THRESHOLD) if test.multilabel else [test.predicted[member]]
    )
    probability = "" if test.multilabel else f" {test.sureness[member]:.2f}"
    truth = _named(labels, np.flatnonzero(test.labels[member]) if test.multilabel else [test.labels[member]])
    wrong = "" if test.right[member] else f"\nis {truth}"
    axes.set_title(f"{said}{probability}{wrong}", fontsize=8, color=colour, pad=3)


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
