"""`python -m training report` and `calibrate`: how good a run is, and probabilities that mean what they say."""

from pathlib import Path
from typing import Annotated

import typer

from training import backend
from training.commands.common import errors_for_people

RunFolder = Annotated[Path, typer.Argument(help="A run folder.", metavar="RUN", exists=True, file_okay=False)]


def report(folder: RunFolder) -> None:
    """Write report.html into a run folder: curves, figures, calibration, the surest mistakes with heatmaps."""
    with errors_for_people():
        backend.load()
        from training.report import material, page

        run = material.read(folder)
        model = material.model(folder)
        test, told = material.test_answers(folder, run, model)
        page.write(folder, page.Subject(run, model, test, told))
    typer.echo(f"{folder / page.REPORT}: on {told}")


def calibrate(
    folder: RunFolder,
    out: Annotated[Path, typer.Option(help="The run folder to write; must not exist yet.", metavar="DIR")],
) -> None:
    """Fit a temperature on the validation split and write a run whose model has it; no answer changes."""
    with errors_for_people():
        backend.load()
        from training import calibrated

        found = calibrated.write(folder, out)
    typer.echo(f"{out}: temperature {found.temperature:.4f}")
    for split, before in found.before.items():
        after = found.after[split]
        typer.echo(
            f"  {split:<10}  expected calibration error {before.error:.4f} -> {after.error:.4f}, "
            f"cross-entropy {before.loss:.4f} -> {after.loss:.4f}, accuracy {before.accuracy:.4f} -> {after.accuracy:.4f}"
        )
