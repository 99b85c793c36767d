"""Throughput against latency, one line a server along its numbers of clients: the nearer to the upper left, the better."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from bench import plots
from bench.peers.peers import PEERS, Peer
from bench.peers.report import complete
from bench.peers.rounds import Measured, Plan

_INK, _GRID = "#333a45", "#e4e7eb"
_GREY = "#8a8f98"
_MARKERS = "oohHsD^vPX"
# Our servers share a colour, and so are seen as one; grey is what is no product.
_BLUE, _VERMILION, *_OTHERS = plots.COLOURS
_LOOKS = dict(
    zip(
        (each.name for each in PEERS),
        zip((*4 * (_VERMILION,), _GREY, _BLUE, *_OTHERS), _MARKERS, strict=True),
        strict=True,
    )
)
_STYLES = {"ours-auto": "--", "ours-2": ":", "ours-instances": "-."}


def draw(measured: Measured, peers: Sequence[Peer], plan: Plan, path: Path) -> Path | None:
    """Writes a PNG; None when there is nothing to be seen. Returns `path`."""
    found = {peer.name: points for peer in peers if (points := _points(measured, peer, plan))}
    if not found:
        return None
    figure = Figure(figsize=(8.4, 4.6), dpi=150, layout="constrained")
    axes = figure.subplots()
    for name, points in found.items():
        _line(axes, name, points)
    _label_clients(axes, *next(iter(found.items())))
    _dress(axes, f"{measured.workload.name}: one raw picture a request")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    return path


Points = list[tuple[int, float, float]]  # clients, p50 in ms, images a second


def _points(measured: Measured, peer: Peer, plan: Plan) -> Points:
    found = {count: complete(measured, peer, count, plan) for count in plan.clients}
    return [
        (count, 1e3 * float(np.median([each.p50 for each in same])), float(np.median([each.rate for each in same])))
        for count, same in found.items()
        if same
    ]


def _line(axes: Axes, name: str, points: Points) -> None:
    colour, marker = _LOOKS[name]
    ours = colour == _VERMILION
    axes.plot(
        [p50 for _, p50, _ in points],
        [rate for *_, rate in points],
        color=colour,
        marker=marker,
        markersize=6 if ours else 5,
        markerfacecolor="white" if name in _STYLES else colour,
        linewidth=2.4 if ours else 1.4,
        linestyle=_STYLES.get(name, "-"),
        zorder=3 if ours else 2,
        label=name,
    )


def _label_clients(axes: Axes, name: str, points: Points) -> None:
    """The numbers of clients, at the first line alone: on the others they are the same, in the same order."""
    for count, p50, rate in points:
        label = "1 client" if count == 1 else f"{count}"
        halo = [withStroke(linewidth=3, foreground="white")]
        axes.annotate(
            label,
            (p50, rate),
            (0, 8),
            textcoords="offset points",
            ha="center",
            fontsize=9,
            color=_LOOKS[name][0],
            path_effects=halo,
            zorder=4,
        )


def _dress(axes: Axes, title: str) -> None:
    axes.set_title(title, loc="left", fontsize=11, color=_INK)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.margins(y=0.12)
    axes.set_xlabel("median latency, ms", color=_INK)
    axes.set_ylabel("images/s", color=_INK)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axes.grid(color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=9)
    axes.legend(frameon=False, fontsize=9, labelcolor=_INK, loc="center left", bbox_to_anchor=(1.0, 0.5))
