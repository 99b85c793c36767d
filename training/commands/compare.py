"""`python -m training compare`: several runs in one table and one picture."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from training import comparison
from training.commands.common import errors_for_people


def compare(
    folders: Annotated[
        list[Path], typer.Argument(help="The run folders, in the order of the table.", metavar="RUN...")
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="Also write comparison.md and comparison.png into this new folder.", metavar="DIR"),
    ] = None,
) -> None:
    """Compare runs: size, time, and the course notes' figures beside ours; learning curves on the validation split."""
    with errors_for_people():
        compared = [comparison.read(folder) for folder in folders]
        if out is not None:
            comparison.write(out, compared)
    columns, rows = comparison.table(compared)
    table = Table(*columns)
    for row in rows:
        table.add_row(*row)
    Console().print(table)
