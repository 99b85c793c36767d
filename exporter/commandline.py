"""What every export command has in common: where bundles may go, progress, the summary, errors in one line."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from bundle.errors import BundleError
from bundle.manifest import REPORT, Method
from exporter.bundling import STEPS, Summary, Wanted, export
from exporter.candidate import Candidate
from exporter.errors import ExportError
from exporter.report import Report

Step = Callable[[str], None]  # called with the name of each step as it begins

Out = Annotated[
    Path,
    typer.Option(help="Where the bundle goes: models/NAME/VERSION. VERSION is a positive integer, not used before."),
]
Layer = Annotated[
    str | None,
    typer.Option(
        help="Explain by the output of this layer; `python -m exporter layers MODEL` lists them. Without it: the last "
        "spatial map that the whole answer passes."
    ),
]
Methods = Annotated[
    list[str],
    typer.Option(
        "--method",
        help="How heatmaps are made: gradcam, hirescam or layercam. Give it several times and a request may choose; the "
        "first is the default.",
    ),
]
Size = Annotated[
    str | None,
    typer.Option(
        help="Height and width of the pictures, such as 224x224. Without it: those that the model has, or was made for.",
        metavar="HEIGHTxWIDTH",
    ),
]
Pictures = Annotated[
    Path | None,
    typer.Option(
        help="Compare the answers on the pictures in this folder. Without it: on 16 generated ones.",
        exists=True,
        file_okay=False,
    ),
]
Samples = Annotated[int, typer.Option(min=1, help="Compare the answers on this many pictures at most.")]


def make_bundle(
    steps: Sequence[str],
    candidate: Callable[[Step], Candidate],
    out: Path,
    layer: str | None,
    methods: Sequence[str],
) -> None:
    """Exports what `candidate` brings to `out` and prints what came of it; `steps` are those that `candidate` reports.

    Exits with 2 when `out` or `methods` cannot be, and with 1 and one line of reason when the export fails.
    """
    wanted = Wanted(layer, _checked_methods(methods))
    with making(out, [*steps, *STEPS]) as step:
        summary = export(candidate(step), out, wanted, step)
    _print(summary, out, Console())


@contextmanager
def making(out: Path, steps: Sequence[str]) -> Iterator[Step]:
    """Shows the steps of making the bundle `out`, and ends as `make_bundle` does when it cannot be made."""
    _check_out(out)
    with told_in_one_line(), _progress(Console(), steps) as step:
        yield step


def parsed_size(size: str | None) -> tuple[int, int] | None:
    """Height and width of --size; exits with 2 when it is not two positive numbers."""
    if size is None:
        return None
    found = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", size)
    if not found:
        raise typer.BadParameter(f"must be HEIGHTxWIDTH such as 224x224, got {size!r}", param_hint="--size")
    return int(found[1]), int(found[2])


@contextmanager
def told_in_one_line() -> Iterator[None]:
    """Turns the errors that are meant for people into a line on stderr and exit status 1."""
    try:
        yield
    except (ExportError, BundleError, FileExistsError) as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from error


def _check_out(out: Path) -> None:
    name = out.name
    if not (name.isascii() and name.isdecimal()) or name != str(int(name)) or int(name) < 1:
        raise typer.BadParameter(
            f"the version must be a positive integer, got {name!r}; write models/NAME/1", param_hint="--out"
        )
    if out.exists():
        raise typer.BadParameter(f"{out} exists already; choose another version or remove it", param_hint="--out")


def _checked_methods(names: Sequence[str]) -> list[Method]:
    known: tuple[Method, ...] = Method.__args__  # type: ignore[attr-defined]  # a Literal knows its values
    for name in names:
        if name not in known:
            raise typer.BadParameter(f"no method {name!r}; choose from {', '.join(known)}", param_hint="--method")
    if len(set(names)) != len(names):
        raise typer.BadParameter("the same method twice", param_hint="--method")
    return [method for name in names for method in known if method == name]


@contextmanager
def _progress(console: Console, steps: Sequence[str]) -> Iterator[Step]:
    with Progress(
        TextColumn("{task.description:<20}"),
        BarColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as progress:
        task = progress.add_task("start", total=len(steps) + 1)
        yield lambda name: progress.update(task, advance=1, description=name)


def _print(summary: Summary, out: Path, console: Console) -> None:
    feature_map, precision = summary.manifest.feature_map, summary.manifest.precisions[0]
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    console.print(
        f"checks       all {len(summary.report.checks)} passed, on {summary.report.samples} samples; figures in "
        f"{out / REPORT}\n"
        f"feature map  {feature_map.layer}: {feature_map.height} x {feature_map.width} x {feature_map.channels}\n"
        f"explains by  {', '.join(summary.manifest.explanations)}\n"
        f"agreement    {precision.top1_agreement:.2%} of the top classes\n"
        f"largest Δ    probabilities {_worst(summary.report, 'ONNX Runtime: probabilities')}, "
        f"heatmaps {_worst(summary.report, 'ONNX Runtime:', 'heatmaps')}\n"
        f"bundle       {out}, {size / 1e6:.1f} MB",
        highlight=False,
        soft_wrap=True,
    )


def _worst(report: Report, *parts: str) -> str:
    named = [check for check in report.checks if all(part in check.name for part in parts)]
    checks = [check for check in named if check.rule == "at most"]
    check = max(checks, key=lambda check: check.measured)
    return f"{check.measured:.1e} (limit {check.limit:.0e})"
