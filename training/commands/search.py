"""`python -m training search`: better values of a recipe's learning rate, inner size and dropout."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from training import backend
from training.commands.common import Changes, RecipeName, errors_for_people
from training.errors import RecipeError
from training.recipe import of_pictures
from training.search import pages, trials
from training.search.trials import Search, Space, Trial

Out = Annotated[
    Path,
    typer.Option(help="The search folder: a new one, or one of the same search, which then goes on.", metavar="DIR"),
]
Count = Annotated[int, typer.Option("--trials", min=1, help="Stop when there are so many trials in all.", metavar="N")]
Epochs = Annotated[
    int | None,
    typer.Option(min=1, help="Train each trial at most this long; the recipe's own length otherwise.", metavar="N"),
]
RateFrom = Annotated[float, typer.Option(help="The lowest learning rate that is tried.", metavar="RATE")]
RateTo = Annotated[float, typer.Option(help="The highest one.", metavar="RATE")]
Inner = Annotated[
    list[int],
    typer.Option(min=1, help="A size to try for the dense layer before the answer. May be repeated.", metavar="UNITS"),
]
Dropout = Annotated[
    list[float],
    typer.Option(
        min=0, max=0.99, help="A share of that layer's output to drop in training. May be repeated.", metavar="SHARE"
    ),
]
Seed = Annotated[int, typer.Option(min=0, help="Try other values with another one.", metavar="S")]


def search(
    name: RecipeName,
    out: Out,
    count: Count = 10,
    epochs: Epochs = None,
    rate_from: RateFrom = 1e-4,
    rate_to: RateTo = 1e-1,
    inner: Inner = [10, 100, 1000],  # noqa: B006  typer never changes it
    dropout: Dropout = [0.0, 0.25, 0.5],  # noqa: B006  typer never changes it
    seed: Seed = 1,
    changes: Changes = [],  # noqa: B006  typer never changes it
) -> None:
    """Train a recipe in many forms and find the best one, for `run RECIPE --from-search DIR`.

    Ctrl-C stops; the same command goes on where it was.
    """
    with errors_for_people():
        if not 0 < rate_from < rate_to:
            raise RecipeError(
                f"--rate-from {rate_from}, --rate-to {rate_to}: give two positive rates, the lower one first"
            )
        for_all = [*changes, *([] if epochs is None else [f"training.epochs={epochs}"])]
        of_pictures(name, for_all)  # refuses what is wrong before anything is written
        space = Space(rate_from=rate_from, rate_to=rate_to, inner=inner, dropout=dropout)
        done = _searched(out, Search(recipe=name, changes=for_all, space=space, seed=seed), count)
    table = Table(*pages.COLUMNS)
    for row in pages.table(done):
        table.add_row(*row)
    Console().print(table)
    typer.echo(f"{out}: the best of {len(done)} trials first; train it with: run {name} --from-search {out} --out DIR")


def _searched(out: Path, search: Search, count: int) -> list[Trial]:
    """All trials; ends the program, with how to go on, when Ctrl-C stops them."""
    trials.begin(out, search)
    backend.load()
    from training.search import tuner

    try:
        return tuner.run(out, search, count)
    except KeyboardInterrupt:
        typer.echo(f"stopped after {len(trials.read(out))} of {count} trials; the same command goes on", err=True)
        raise typer.Exit(130) from None
