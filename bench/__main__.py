"""`python -m bench`: whether what is served is what was trained, for the bundles whose run folder is here, and by which protocol it costs what.

Agreement and the pointing game, on the pictures of a run's test split; protocols for each bundle. Writes one Markdown file per
measurement, with the machine and the versions at its head. `make bench` runs this and every other measurement.
"""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from bench import agreement, pictures, pointing, protocols
from bench.errors import give_up
from bench.tables import Results, publish
from bench.target import target_or_own
from bundle import manifest, run
from bundle.errors import BundleError, PictureError
from bundle.run import RUN
from client.errors import ClassifyError

cli = typer.Typer(add_completion=False, rich_markup_mode=None)


@cli.command()
def main(
    models: Annotated[Path, typer.Option(help="Bundles to measure; the highest version of each model.")] = Path(
        "models"
    ),
    runs: Annotated[Path, typer.Option(help="Run folders to compare them with, by the name in the bundle.")] = Path(
        "runs"
    ),
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("bench/results"),
) -> None:
    """Measure what is here; the exit status is 1 if a promise does not hold."""
    bundles = _newest(models)
    if not bundles:
        give_up(f"no bundles under {models}: train and export one first (make demo shows how)")
    try:
        publish(
            [protocols.measure(each, protocols.ROUNDS, protocols.SECONDS) for each in bundles], out / "protocols.md"
        )
        kept = [
            _compare(each, runs, models)
            for each in bundles
            if (name := _run_name(each)) and (runs / name / RUN).exists()
        ]
    except (BundleError, ClassifyError, PictureError, OSError, RuntimeError, ValueError) as error:
        give_up(str(error))
    publish([table for tables, _ in kept for table in tables], out / "agreement.md")
    raise typer.Exit(not all(held for _, held in kept))


def _newest(models: Path) -> list[Path]:
    """The bundle of the highest version of each model."""
    versions: dict[str, list[Path]] = {}
    for path in models.glob(f"*/*/{manifest.MANIFEST}"):
        if path.parent.name.isdecimal():
            versions.setdefault(path.parts[-3], []).append(path.parent)
    return [max(found, key=lambda each: int(each.name)) for _, found in sorted(versions.items())]


def _run_name(bundle: Path) -> str:
    return manifest.read_classifier(bundle).provenance.details.get("run", "")


def _compare(bundle: Path, runs: Path, models: Path) -> tuple[list[Results], bool]:
    """Agreement with the trained model, the pointing game if there are boxes, and whether both promises hold."""
    folder, name = runs / _run_name(bundle), bundle.parent.name
    recorded = run.read(folder)
    with tempfile.TemporaryDirectory() as temporary, target_or_own(None, models) as target:
        command = [sys.executable, "-m", "training", "pictures", recorded.recipe, "--split", "test"]
        subprocess.run([*command, "--out", f"{temporary}/pictures"], check=True)
        labelled = pictures.read(Path(temporary) / "pictures")
        agreed = agreement.measure(folder, recorded, labelled, name, target)
        tables, held = [agreement.results(agreed, name, agreement.TOLERANCE)], agreed.holds(agreement.TOLERANCE)
        if any(each.box for each in labelled):
            game = pointing.play(labelled, name, target)
            tables.append(pointing.results(game, name))
            held = held and game.hits >= pointing.MINIMUM * game.played
    return tables, held


if __name__ == "__main__":
    cli(prog_name="python -m bench")
