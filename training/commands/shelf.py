"""`python -m training list` and `record`: the recipes that come with the program, and what they came to."""

from dataclasses import astuple
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from training import backend, measured, shelf
from training.commands.common import errors_for_people


def show(
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print a table in Markdown, as the documentation has it.")
    ] = False,
) -> None:
    """Show the recipes that come with the program: their sizes, the course notes' figures and ours."""
    backend.load()
    if markdown:
        typer.echo(shelf.markdown(), nl=False)
        return
    table = Table(box=SIMPLE, pad_edge=False)
    for column in shelf.COLUMNS:
        right = column == "parameters"
        table.add_column(column, no_wrap=right or column == "recipe", justify="right" if right else "left")
    for row in shelf.rows():
        table.add_row(*astuple(row))
    Console().print(table)


def record(
    folders: Annotated[
        list[Path], typer.Argument(help="Run folders of shipped recipes.", metavar="RUN...", exists=True)
    ],
) -> None:
    """Take the figures of runs into the shelf's table (measured.json beside the recipes)."""
    with errors_for_people():
        for folder in folders:
            name, figures = measured.record(folder)
            typer.echo(f"{name}: {figures.metrics['test']}")
