"""The command that makes a new version of a bundle in more precisions."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from bundle.manifest import REPORT_PAGE
from exporter import commandline
from exporter.errors import ExportError
from exporter.report import Ladder, Measured

Source = Annotated[
    Path,
    typer.Argument(
        help="The bundle of an image classifier: models/NAME/VERSION.", metavar="BUNDLE", exists=True, file_okay=False
    ),
]
Data = Annotated[
    Path | None,
    typer.Option(
        help="Calibrate and measure on these pictures: a folder, in which folders called as labels say what is on the pictures "
        "inside them, or an .npz file with pixels and labels. Without it: on those that the bundle keeps.",
        exists=True,
    ),
]
Test = Annotated[
    Path | None,
    typer.Option(
        help="Measure on all of these pictures, given as for --data, and calibrate on the others. Without it, one picture in "
        "four is for calibration and the rest are measured on.",
        exists=True,
    ),
]
Samples = Annotated[int, typer.Option(min=1, help="Use at most this many of the bundle's or --data's pictures.")]
Precisions = Annotated[
    list[str],
    typer.Option(
        "--precision",
        help="What to make beside fp32: int8 (any CPU), bf16 (OpenVINO, where the processor has it) or fp16 (GPU). Several "
        "times for several.",
    ),
]

_WIDTH = 100  # that the figures need; a narrower terminal breaks lines


def optimise(
    bundle: Source,
    out: commandline.Out,
    data: Data = None,
    test: Test = None,
    samples: Samples = 512,
    precision: Precisions = ["int8", "bf16", "fp16"],  # noqa: B006  # typer copies it
) -> None:
    """Make a new version of a bundle with the same model in fewer bits, and measure what that costs and gains."""
    # The quantiser takes a second to import, which --help need not wait for.
    from exporter.optimise import forms, ladder
    from exporter.optimise.pictures import Wanted

    try:
        wanted = [forms.checked(name) for name in dict.fromkeys(precision)]
    except ExportError as error:
        raise typer.BadParameter(str(error), param_hint="--precision") from error
    with commandline.making(out, ladder.steps(wanted)) as step:
        report, skipped = ladder.optimise(bundle, out, wanted, Wanted(data, test, samples), step)
    for reason in (*skipped, *report.left_out):
        typer.echo(f"left out {reason}", err=True)
    _show(report, out)


def _show(report: Ladder, out: Path) -> None:
    """The figures in short; the page has the rest."""
    table = Table(box=None, pad_edge=False, header_style="")
    for heading in ("form", "agrees", "max Δp", "heatmaps", "accuracy", "images/s at 1", "at 8", "at 32"):
        table.add_column(heading, justify="left" if heading == "form" else "right", no_wrap=True)
    for form in report.forms:
        table.add_row(*_cells(form, report.trusts(form)))
    Console(width=max(_WIDTH, Console().width)).print(table)
    typer.echo(f"* below {report.minimum_top1_agreement:.1%} and not chosen by itself")
    typer.echo(f"measured on    {report.measured_on}; beside fp32 on ONNX Runtime")
    typer.echo(f"calibrated on  {report.calibrated_on}")
    typer.echo(f"bundle         {out}; pictures and all figures in {out / REPORT_PAGE}")


def _cells(form: Measured, trusted: bool) -> Iterator[str]:
    yield f"{form.precision} {form.engine}"
    yield f"{form.distance.top1_agreement:.2%}{' ' if trusted else '*'}"
    yield from (f"{form.distance.max_probability_difference:.4f}", f"{form.distance.heatmap_correlation:.4f}")
    yield "–" if form.accuracy is None else f"{form.accuracy:.2%}"
    yield from (f"{speed:,.0f}" for speed in form.images_per_second.values())
