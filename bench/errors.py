"""How a measurement ends early."""

from typing import NoReturn

import typer


def give_up(message: str) -> NoReturn:
    """One line on standard error and exit status 1."""
    typer.echo(f"error: {message}", err=True)
    raise typer.Exit(1)
