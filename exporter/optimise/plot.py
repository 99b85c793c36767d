"""Speed against agreement, as an SVG for a page: what a form costs and what it gains, at a glance."""

import io
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter

from bundle.manifest import PrecisionName
from exporter.optimise.engines import EngineName
from exporter.report import Ladder, Measured

ENGINES: dict[EngineName, str] = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}

_COLOURS: dict[PrecisionName, str] = {"fp32": "#5b6472", "bf16": "#3b76c4", "fp16": "#8a5bb5", "int8": "#d9722e"}
_MARKERS: dict[EngineName, str] = {"onnxruntime": "o", "openvino": "D"}
_INK, _FAINT = "#333a45", "#8b93a0"
# Words stay words in the picture, in the reader's own font; element names do not change from run to run.
_STYLE: Any = {"svg.fonttype": "none", "svg.hashsalt": "ladder", "font.family": "sans-serif", "font.size": 10}
_WITHOUT_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}


def draw(ladder: Ladder) -> str:
    """An <svg> element with one panel for each batch size; empty when no speed was measured."""
    timed = [form for form in ladder.forms if form.images_per_second]
    if not timed:
        return ""
    sizes = list(timed[0].images_per_second)
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(9.6, 3.7), layout="constrained")
        panels = figure.subplots(1, len(sizes), sharey=True, squeeze=False)[0]
        for axes, size in zip(panels, sizes, strict=True):
            _panel(axes, timed, size, ladder.minimum_top1_agreement)
        _agreement_axis(panels[0], timed, ladder.minimum_top1_agreement)
        figure.legend(handles=_legend(timed), loc="outside lower center", ncols=6, frameon=False, labelcolor=_INK)
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True, metadata=_WITHOUT_METADATA)
    drawn = file.getvalue()
    return drawn[drawn.index("<svg") :]


def _panel(axes: Axes, timed: Sequence[Measured], size: str, threshold: float) -> None:
    axes.axhline(threshold, color="#b3261e", linewidth=1, linestyle=(0, (5, 4)), zorder=1)
    for form in timed:
        axes.plot(
            form.images_per_second[size],
            form.distance.top1_agreement,
            marker=_MARKERS[form.engine],
            markersize=9,
            color=_COLOURS[form.precision],
            markeredgecolor="white",
            linestyle="",
            clip_on=False,
            zorder=3,
        )
    axes.set_xlim(0, 1.12 * max(form.images_per_second[size] for form in timed))
    axes.set_title(f"batch of {size}", fontsize=10, color=_INK, loc="left")
    axes.set_xlabel("images/s", color=_INK)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.grid(axis="both", color="#e4e7eb", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#c6cbd2")
    axes.tick_params(colors=_FAINT, labelcolor=_INK, length=3)


def _agreement_axis(axes: Axes, timed: Sequence[Measured], threshold: float) -> None:
    """From a little below the lowest point or the threshold up to 1, for all panels."""
    lowest = min(threshold, *(form.distance.top1_agreement for form in timed))
    margin = 0.25 * (1 - lowest) or 0.01
    axes.set_ylim(max(0, lowest - margin), 1 + margin / 3)
    axes.set_ylabel("top-1 agreement with fp32", color=_INK)
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=None))
    axes.annotate(
        f"not chosen below {threshold:.1%}", (0.02, threshold), xycoords=("axes fraction", "data"), xytext=(0, -4),
        textcoords="offset points", va="top", color="#b3261e", fontsize=8.5,
    )  # fmt: skip


def _legend(timed: Sequence[Measured]) -> list[Line2D]:
    """Colours stand for precisions, shapes for engines."""
    colours = {form.precision: _COLOURS[form.precision] for form in timed}
    shapes = {form.engine: _MARKERS[form.engine] for form in timed}
    squares = [Line2D([], [], linestyle="", marker="s", color=found, label=name) for name, found in colours.items()]
    markers = [
        Line2D([], [], linestyle="", marker=found, markerfacecolor="none", color=_INK, label=ENGINES[name])
        for name, found in shapes.items()
    ]
    return [*squares, *markers]
