"""What the commands have in common: their arguments, and one line on stderr for what a person can cause or mend."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from bundle.errors import BundleError
from training.errors import DataError, RecipeError, TrainingError, WorkerLostError

RecipeName = Annotated[
    str, typer.Argument(help="A recipe from `list`, or the path of a TOML file of your own.", metavar="RECIPE")
]
Changes = Annotated[
    list[str],
    typer.Option(
        "--set", help="Change one key of the recipe, e.g. training.batch_size=64. May be repeated.", metavar="KEY=VALUE"
    ),
]


@contextmanager
def errors_for_people() -> Iterator[None]:
    """Ends the program with one line on stderr: status 2 for what was asked wrongly, 1 for what failed, 130 for Ctrl-C."""
    try:
        yield
    except (RecipeError, FileExistsError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error
    except (DataError, TrainingError, WorkerLostError, BundleError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
    except KeyboardInterrupt as error:
        typer.echo(f"stopped: {str(error) or 'nothing was written'}", err=True)
        raise typer.Exit(130) from error
