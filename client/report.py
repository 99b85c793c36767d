"""What a person or a program reads on standard output: tables, CSV, and one JSON object per line."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rich.table import Table
from rich.text import Text

from client.overlays import hottest
from client.pictures import Picture
from client.results import Explanation, ImageResult, ModelInfo, ModelState

STAGES = ("decode", "queue", "infer", "render", "total")
_GOOD, _BAD, _FAINT = "green", "red", "dim"
_WIDEST = 60  # columns of a text that may be long; it is folded there


@dataclass(frozen=True)
class Row:
    """One picture with all that is known about it."""

    picture: Picture
    result: ImageResult
    truth: str | None = None
    overlays: tuple[Path, ...] = ()  # one for each explanation, if they were written

    @property
    def correct(self) -> bool | None:
        """Whether the answer is the truth; None when there is no answer or the truth is not known."""
        if not self.result.ok or self.truth is None:
            return None
        return self.result.predictions[0].label == self.truth


class Lines(Protocol):
    """A form of output in which every picture is a line of its own."""

    @property
    def heading(self) -> str | None:
        """The line before all others, if there is one."""

    def line(self, row: Row) -> str:
        """The row."""


@dataclass(frozen=True)
class JsonLines:
    """One JSON object a line, with all that is known; `model` in `version` has answered."""

    model: str
    version: int
    heading: None = None

    def line(self, row: Row) -> str:
        """The row as one JSON object."""
        result = row.result
        document = {
            "file": row.picture.name,
            "model": self.model,
            "version": self.version,
            "truth": row.truth,
            "correct": row.correct,
            "predictions": [vars(each) for each in result.predictions],
            "explanations": [
                {"label": each.label, "class_index": each.class_index, "probability": each.probability}
                | ({"path": str(row.overlays[place])} if row.overlays else {"hottest": hottest(each)})
                for place, each in enumerate(result.explanations)
            ],
            "timings": None if result.timings is None else vars(result.timings),
            "error": None
            if result.error is None
            else {"code": result.error.code.name, "message": result.error.message},
        }
        return json.dumps(document, ensure_ascii=False)


@dataclass(frozen=True)
class CsvLines:
    """Comma-separated values (RFC 4180, but for the line ends of this system): the `classes` most probable classes."""

    model: str
    version: int
    classes: int
    with_truth: bool

    @property
    def heading(self) -> str:
        """The names of the columns."""
        ranked = [f"{column}_{rank}" for rank in range(1, self.classes + 1) for column in ("class", "probability")]
        return _csv(["file", *(["truth"] if self.with_truth else []), "model", "version", *ranked, "error"])

    def line(self, row: Row) -> str:
        """The row; a picture without an answer has empty cells and the reason."""
        result = row.result
        ranked = [cell for each in result.predictions for cell in (each.label, f"{each.probability:.6g}")]
        ranked += [""] * (2 * self.classes - len(ranked))
        truth = [row.truth or ""] if self.with_truth else []
        return _csv([row.picture.name, *truth, self.model, self.version, *ranked, result.error or ""])


def _csv(cells: Sequence[object]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(cells)
    return line.getvalue()


def answers(rows: Sequence[Row]) -> Table:
    """The table of `python -m client classify`; columns that would be empty are left out."""
    with_truth = any(row.truth is not None for row in rows)
    further = max((len(row.result.predictions) for row in rows), default=1) > 1
    evidence = any(row.result.explanations and not row.overlays for row in rows)
    table = Table(header_style="bold", caption="milliseconds on the server", caption_justify="right")
    table.add_column("file", overflow="fold")
    if with_truth:
        table.add_column("truth")
    table.add_column("answer", overflow="fold", max_width=_WIDEST)
    table.add_column("probability", justify="right")
    if further:
        table.add_column("further classes", overflow="fold", max_width=_WIDEST)
    if evidence:
        table.add_column("strongest evidence")
    for stage in STAGES:
        table.add_column(stage, justify="right", style=_FAINT)
    for row in rows:
        shown = (True, with_truth, True, True, further, evidence, *(True for _ in STAGES))
        table.add_row(*(cell for cell, show in zip(_cells(row), shown, strict=True) if show))
    return table


def _cells(row: Row) -> list[Text]:
    name, truth = Text(row.picture.name), Text(row.truth or "")
    result = row.result
    if result.error is not None:
        return [name, truth, Text(str(result.error), _BAD), *(Text() for _ in range(3 + len(STAGES)))]
    best, *rest = result.predictions
    colour = {True: _GOOD, False: _BAD, None: ""}[row.correct]
    return [
        name,
        truth,
        Text(best.label + (" ✗" if row.correct is False else ""), colour),
        Text(f"{best.probability:.4f}"),
        Text("  ".join(f"{each.label} {each.probability:.4f}" for each in rest)),
        Text("\n".join(_where(each) for each in result.explanations)),
        *(Text(f"{1e3 * getattr(result.timings, f'{stage}_seconds'):.1f}") for stage in STAGES),
    ]


def _where(explanation: Explanation) -> str:
    spot = hottest(explanation)
    if spot is None:
        return f"{explanation.label}: none"
    return f"{explanation.label}: x {spot[0]:.0f}, y {spot[1]:.0f}"


def summary(rows: Sequence[Row]) -> str:
    """One line: how many pictures, failures, and the accuracy where the truth is known."""
    failed = sum(not row.result.ok for row in rows)
    known = [row.correct for row in rows if row.correct is not None]
    line = f"{len(rows)} picture{'' if len(rows) == 1 else 's'}, {failed} failed"
    return f"{line}, accuracy {sum(known) / len(known):.4f} ({sum(known)} of {len(known)})" if known else line


def models(infos: Sequence[ModelInfo]) -> Table:
    """The table of `python -m client models`."""
    table = Table(header_style="bold")
    for heading in (
        "model",
        "version",
        "state",
        "default",
        "called",
        "engine",
        "precision",
        "device",
        "input",
        "classes",
        "explains by",
        "reason",
    ):
        table.add_column(heading, overflow="fold", justify="right" if heading in ("version", "classes") else "left")
    colours = {ModelState.SERVING: _GOOD, ModelState.REFUSED: _BAD}
    for info in infos:
        table.add_row(
            Text(info.name),
            str(info.version),
            Text(info.state, colours.get(info.state, "")),
            "yes" if info.is_default else "",
            ", ".join(info.version_labels),
            info.engine,
            info.precision,
            info.device,
            "x".join(map(str, info.input_shape)) if info.labels else "",
            str(len(info.labels)) if info.labels else "",
            ", ".join(info.explanations),
            Text(info.reason),
        )
    return table


def model_line(info: ModelInfo) -> str:
    """The version as one JSON object."""
    return json.dumps(vars(info), ensure_ascii=False)
