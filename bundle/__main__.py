"""`python -m bundle verify DIR...`: check bundles without serving them, for a pipeline or a person who copies models."""

from pathlib import Path
from typing import Annotated

import typer

from bundle import files
from bundle.errors import BundleError
from bundle.manifest import Manifest, TensorManifest

app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode=None, help="Model bundles on disk.")


@app.callback()
def main() -> None:
    """Model bundles on disk."""


@app.command()
def verify(
    folders: Annotated[list[Path], typer.Argument(help="Bundles: models/NAME/VERSION folders.", metavar="DIR...")],
) -> None:
    """Check manifest and checksums of each bundle; the exit status is 1 if one of them fails."""
    failed = False
    for folder in folders:
        try:
            manifest = files.verify(folder)
        except BundleError as error:
            failed = True
            typer.echo(f"refused  {error}", err=True)
        else:
            typer.echo(f"good     {folder}: {len(manifest.files)} files, {_told(manifest)}")
    raise typer.Exit(1 if failed else 0)


def _told(manifest: Manifest | TensorManifest) -> str:
    if isinstance(manifest, TensorManifest):
        return f"{len(manifest.inputs)} inputs, {len(manifest.outputs)} outputs"
    return f"{len(manifest.labels)} labels"


if __name__ == "__main__":
    app(prog_name="python -m bundle")
