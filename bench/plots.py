"""One look for all plots of measurements: a median as a line with the range of its rounds around it.

The colours are those of Okabe and Ito (jfly.uni-koeln.de/color), which people with any colour vision can tell apart.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_INK = "#333a45"


def stacked(title: str, panels: int) -> tuple[Figure, list[Axes]]:
    """A figure of `panels` one above the other, with one horizontal axis."""
    figure = Figure(figsize=(7.2, 2.6 * panels), dpi=150, layout="constrained")
    found = list(figure.subplots(panels, 1, sharex=True, squeeze=False)[:, 0])
    found[0].set_title(title, loc="left", fontsize=10, color=_INK)
    for axes in found:
        axes.grid(axis="y", color="#e4e7eb", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.10g}"))
        axes.tick_params(labelsize=9)
    return figure, found


def band(axes: Axes, across: Sequence[float], rounds: Sequence[Sequence[float]], colour: str, label: str) -> None:
    """The median of the `rounds` at each place `across`, within the range from the least to the most of them."""
    middle = [float(np.median(each)) for each in rounds]
    axes.fill_between(
        across, [min(each) for each in rounds], [max(each) for each in rounds], color=colour, alpha=0.18, linewidth=0
    )
    axes.plot(across, middle, color=colour, marker="o", markersize=4, linewidth=1.6, label=label)
    axes.set_ylim(bottom=0)


def save(figure: Figure, path: Path) -> Path:
    """Writes a PNG, with a legend above each panel of several lines, where it covers none of them. Returns `path`."""
    for axes in figure.axes:
        if len(axes.get_lines()) > 1:
            axes.legend(
                loc="lower right",
                bbox_to_anchor=(1, 1),
                ncols=3,
                frameon=False,
                fontsize=9,
                labelcolor=_INK,
                borderpad=0,
            )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    return path
