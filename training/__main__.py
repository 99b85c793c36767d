"""The command line: `python -m training list | run | pictures`."""

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from training import backend, pictures
from training import recipe as recipes
from training.data.dataset import SplitName
from training.errors import DataError, RecipeError

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Train image classifiers from recipes.")

RecipeName = Annotated[
    str, typer.Argument(help="A recipe from `list`, or the path of a TOML file of your own.", metavar="RECIPE")
]
Changes = Annotated[
    list[str],
    typer.Option(
        "--set", help="Change one key of the recipe, e.g. training.batch_size=64. May be repeated.", metavar="KEY=VALUE"
    ),
]


@app.command("list")
def list_recipes() -> None:
    """Show the recipes that come with the program."""
    backend.load()
    table = Table("recipe", "data", "classes", "input", "parameters", "summary")
    for name in recipes.shipped():
        recipe = recipes.load(name, [])
        shape, classes = recipe.preprocess.shape, len(recipe.data.labels)
        parameters = recipe.network.build(shape, classes).count_params()
        table.add_row(
            name,
            recipes.settings(recipe)["data"]["name"],
            str(classes),
            "x".join(map(str, shape)),
            f"{parameters:,}",
            recipe.summary,
        )
    Console().print(table)


@app.command()
def run(
    name: RecipeName,
    out: Annotated[Path, typer.Option(help="The run folder to write; must not exist yet.", metavar="DIR")],
    epochs: Annotated[
        int | None, typer.Option(help="Train at most this long; short for --set training.epochs=N.", metavar="N")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Start from other random weights; short for --set training.seed=S.", metavar="S")
    ] = None,
    changes: Changes = [],  # noqa: B006  typer never changes it
) -> None:
    """Train a recipe and write a run folder. Ctrl-C ends training early and keeps the best epoch so far."""
    short = {"training.epochs": epochs, "training.seed": seed}
    changes = [*changes, *(f"{key}={value}" for key, value in short.items() if value is not None)]
    with _errors_for_people():
        recipe = recipes.load(name, changes)
        backend.load()
        from training import trainer

        command = shlex.join(["python", "-m", "training", *sys.argv[1:]])
        document = trainer.train(Path(name).stem, recipe, out, command)
    if document.interrupted:
        typer.echo(f"stopped by Ctrl-C: this is epoch {document.best_epoch}, the best so far", err=True)
    test = document.metrics["test"]
    typer.echo(
        f"{out}: test accuracy {test.accuracy:.4f}, loss {test.loss:.4f}, from epoch {document.best_epoch} of "
        f"{document.epochs}, {document.parameters:,} parameters, {document.seconds:.0f} s"
    )


@app.command("pictures")
def write_pictures(
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
    with _errors_for_people():
        dataset = recipes.load(name, changes).data.load()
        written = pictures.write(dataset, split, out, count, seed)
    typer.echo(f"{out}: {written:,} {split} pictures of {dataset.name} and {pictures.TRUTH}")


@contextmanager
def _errors_for_people() -> Iterator[None]:
    """Ends the program with one line on stderr for everything that a person can cause or mend."""
    try:
        yield
    except (RecipeError, FileExistsError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error
    except (DataError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
    except KeyboardInterrupt as error:
        typer.echo("stopped: nothing was written", err=True)
        raise typer.Exit(130) from error


if __name__ == "__main__":
    app(prog_name="python -m training")
