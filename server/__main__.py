"""`python -m server`: settings from the command line or from SEETHROUGH_* variables, then `app.run`."""

import os
import signal

if __name__ == "__main__":
    # First of all: to process 1 of a container, Linux delivers no signal that it has no handler for, so that one which comes while the server
    # starts would be lost. From there on until it can drain, it has nothing to finish.
    signal.signal(signal.SIGTERM, lambda number, _: os._exit(128 + number))

import difflib
import inspect
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields
from typing import Any

import typer

from server import asked, memory
from server.config import EngineProcess, Settings, StartError
from server.evidence import logs
from server.options import Options

PREFIX = "SEETHROUGH_"
# Variables of this prefix that belong to our other programs.
_FOREIGN = {PREFIX + name for name in ("TARGET", "TLS", "CA", "CERT", "KEY", "TOKEN")}

cli = typer.Typer(add_completion=False, rich_markup_mode=None)


def main(**given: Any) -> None:
    """Serve model bundles, with Grad-CAM explanations, over gRPC and HTTP.

    Every option can be set as a variable: --max-batch is SEETHROUGH_MAX_BATCH. A first SIGTERM or Ctrl-C finishes what is in
    work, a second one stops at once.
    """
    options = Options(**given)
    _refuse_unknown_variables(os.environ)
    evidence = asked.evidence(options, os.environ)
    logs.start(evidence)
    memory.use_few_arenas()
    try:
        settings = asked.settings(options, evidence)
    except StartError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error
    _run(settings)


# typer reads the options off the signature: it is that of the structure which holds them.
main.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
    [
        inspect.Parameter(
            each.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if each.default is MISSING else each.default,
            annotation=each.type,
        )
        for each in fields(Options)
    ]
)
cli.command(context_settings={"auto_envvar_prefix": "SEETHROUGH"})(main)


def _run(settings: Settings) -> None:
    """Serves here, or from several processes of which this one is the supervisor: then it needs none of what they need."""
    try:
        if settings.processes > 1 or settings.engine_process is EngineProcess.ON:
            from server.processes import supervisor

            raise typer.Exit(supervisor.run(settings))
        from server import app

        app.run(settings)
    except StartError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error


def _refuse_unknown_variables(environment: Mapping[str, str]) -> None:
    """A misspelt variable would otherwise leave a setting at its default without a word."""
    known = {PREFIX + each.name.upper() for each in fields(Options)} | _FOREIGN
    for name in environment:
        if name.startswith(PREFIX) and name not in known:
            raise typer.BadParameter(f"unknown variable {name}; {_suggest(name, known)}", param_hint="environment")


def _suggest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    return f"did you mean {near[0]}?" if near else f"there are: {', '.join(sorted(known))}"


if __name__ == "__main__":
    cli(prog_name="python -m server")
