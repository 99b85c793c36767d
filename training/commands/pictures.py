"""`python -m training pictures`: the data of a recipe as files."""

from pathlib import Path
from typing import Annotated

import typer

from training import pictures
from training.commands.common import Changes, RecipeName, errors_for_people
from training.data.dataset import SplitName
from training.recipe import of_pictures


def write(
    name: RecipeName,
    out: Annotated[Path, typer.Option(help="The folder to write; must not exist yet.", metavar="DIR")],
    split: Annotated[SplitName, typer.Option(help="Which part of the data set.")] = "test",
    count: Annotated[
        int | None, typer.Option(min=1, help="Only this many, evenly from all classes; otherwise all.", metavar="N")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Choose another sample of --count pictures.", metavar="S")] = 0,
    changes: Changes = [],  # noqa: B006  typer never changes it
) -> None:
    """Write the original pictures of a recipe's data as PNG files, with truth.csv beside them."""
    with errors_for_people():
        dataset = of_pictures(name, changes).data.load()
        written = pictures.write(dataset, split, out, count, seed)
    typer.echo(f"{out}: {written:,} {split} pictures of {dataset.name} and {pictures.TRUTH}")
