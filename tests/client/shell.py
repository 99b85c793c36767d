"""Runs `python -m client classify` in this process."""

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from client.__main__ import cli
from tests.client.fake import FakeServer

Server = tuple[FakeServer, str]


def classify(server: Server, *arguments: str | Path, stdin: bytes | None = None) -> Result:
    """The command with `arguments`, asking the model `colours`."""
    command = ["classify", "--model", "colours", "--target", server[1], *map(str, arguments)]
    return CliRunner().invoke(cli, command, input=stdin)


def json_lines(result: Result) -> list[dict[str, Any]]:
    """What the command printed with --json."""
    return [json.loads(line) for line in result.stdout.splitlines()]


def message(result: Result) -> str:
    """What the command said on standard error, on one line and without a frame."""
    return " ".join(result.stderr.replace("│", " ").split())
