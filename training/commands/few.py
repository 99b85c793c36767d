"""`python -m training few`: what a base is worth when few pictures have labels."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from training import backend
from training.commands.common import errors_for_people


def few(
    base: Annotated[
        Path, typer.Option(help="The base: model.keras of a run of the recipe clothes-base.", metavar="FILE")
    ],
    out: Annotated[Path, typer.Option(help="The folder to write; must not exist yet.", metavar="DIR")],
    labels: Annotated[
        list[int], typer.Option(min=2, help="Try with so many labelled pictures of each class. May be repeated.")
    ] = [10, 20, 50],  # noqa: B006  typer never changes it
    seeds: Annotated[int, typer.Option(min=1, help="Repeat everything with so many other choices of pictures.")] = 5,
) -> None:
    """Train three kinds of clothing from few labels, from scratch and on a base that has seen seven others."""
    with errors_for_people():
        if out.exists():
            raise FileExistsError(f"{out} exists already; name another --out")
        backend.load()
        from training.transfer import few

        plan = few.Plan(labels, seeds, base)
        done = []
        for trial in few.trials(plan):
            done.append(trial)
            typer.echo(
                f"{len(done)} of {plan.total}: {trial.labels} labels, seed {trial.seed}, {trial.way}: {trial.accuracy:.2%}",
                err=True,
            )
        few.write(out, done)
    table = Table(*few.COLUMNS)
    for row in few.table(done):
        table.add_row(*row)
    Console().print(table)
