"""`python -m training augmentation`: a picture of what a recipe does to its pictures."""

from pathlib import Path
from typing import Annotated

import typer

from training import backend
from training.commands.common import Changes, RecipeName, errors_for_people
from training.errors import RecipeError
from training.recipe import of_pictures


def augmentation(
    name: RecipeName,
    out: Annotated[Path, typer.Option(help="The picture to write, .png or .webp; must not exist yet.", metavar="FILE")],
    seed: Annotated[int, typer.Option(min=0, help="Show other pictures, changed otherwise.", metavar="S")] = 1,
    changes: Changes = [],  # noqa: B006  typer never changes it
) -> None:
    """Draw 16 training pictures of a recipe, each beside what training could see of it."""
    with errors_for_people():
        recipe = of_pictures(name, changes)
        if not recipe.augmentation:
            raise RecipeError(f"recipe {name}: augmentation is empty, so training sees every picture as it is")
        if out.suffix not in (".png", ".webp"):
            raise RecipeError(f"--out {out}: give it a name that ends in .png or .webp")
        if out.exists():
            raise FileExistsError(f"{out} exists already; name another --out")
        backend.load()
        from training import examples

        examples.draw(out, recipe, seed)
    typer.echo(f"{out}: 16 training pictures of {name}, as they are and as training could see them")
