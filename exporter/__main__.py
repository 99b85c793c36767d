"""`python -m exporter keras RUN --out models/NAME/VERSION`: the command line of the exporter."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from bundle.errors import BundleError
from bundle.manifest import REPORT
from exporter import quiet
from exporter.errors import ExportError

if TYPE_CHECKING:
    from exporter.bundling import Summary
    from exporter.report import Report

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,  # errors in one line, not in a box that breaks paths
    help="Make model bundles for the server.",
)


@app.callback()
def main() -> None:
    """Make model bundles for the server."""


@app.command()
def keras(
    folder: Annotated[
        Path,
        typer.Argument(help="The run folder that training left behind.", metavar="RUN", exists=True, file_okay=False),
    ],
    out: Annotated[
        Path,
        typer.Option(
            help="Where the bundle goes: models/NAME/VERSION. VERSION is a positive integer, not used before."
        ),
    ],
    layer: Annotated[
        str | None,
        typer.Option(
            help="Explain by the output of this Keras layer. Without it: the last spatial map that the whole answer passes."
        ),
    ] = None,
    samples: Annotated[
        int, typer.Option(min=1, help="Compare the answers on this many held-out pictures, or as many as there are.")
    ] = 512,
) -> None:
    """Convert a trained Keras model to ONNX and SavedModel with Grad-CAM inside, and check both against it."""
    _check_out(out)
    console = Console()
    try:
        summary = _export(folder, out, layer, samples, console)
    except (ExportError, BundleError, FileExistsError) as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from error
    _print(summary, out, console)


def _check_out(out: Path) -> None:
    name = out.name
    if not (name.isascii() and name.isdecimal()) or name != str(int(name)) or int(name) < 1:
        raise typer.BadParameter(
            f"the version must be a positive integer, got {name!r}; write models/NAME/1", param_hint="--out"
        )
    if out.exists():
        raise typer.BadParameter(f"{out} exists already; choose another version or remove it", param_hint="--out")


def _export(folder: Path, out: Path, layer: str | None, samples: int, console: Console) -> "Summary":
    with Progress(
        TextColumn("{task.description:<20}"),
        BarColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as progress:
        task = progress.add_task("start TensorFlow", total=None)
        quiet.start_tensorflow()
        from exporter import bundling

        progress.update(task, total=len(bundling.STEPS) + 1)

        def step(name: str) -> None:
            progress.update(task, advance=1, description=name)

        return bundling.export(folder, out, layer, samples, step)


def _print(summary: "Summary", out: Path, console: Console) -> None:
    feature_map, precision = summary.manifest.feature_map, summary.manifest.precisions[0]
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    console.print(
        f"checks       all {len(summary.report.checks)} passed, on {summary.report.samples} held-out samples; figures in "
        f"{out / REPORT}\n"
        f"feature map  {feature_map.layer}: {feature_map.height} x {feature_map.width} x {feature_map.channels}\n"
        f"agreement    {precision.top1_agreement:.2%} of the top classes\n"
        f"largest Δ    probabilities {_worst(summary.report, 'ONNX Runtime: probabilities')}, "
        f"heatmaps {_worst(summary.report, 'ONNX Runtime: heatmaps')}\n"
        f"bundle       {out}, {size / 1e6:.1f} MB, model.onnx {(out / precision.file).stat().st_size / 1e6:.2f} MB",
        highlight=False,
        soft_wrap=True,
    )


def _worst(report: "Report", prefix: str) -> str:
    check = max((check for check in report.checks if check.name.startswith(prefix)), key=lambda check: check.measured)
    return f"{check.measured:.1e} (limit {check.limit:.0e})"


if __name__ == "__main__":
    app(prog_name="python -m exporter")
