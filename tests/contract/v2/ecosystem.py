"""Runs other people's clients in the environment that `make ecosystem` builds.

They cannot share our process: their compiled messages have the names of ours, and protobuf keeps one of each. So a driver
script does what a user of the client would, prints what it saw as JSON, and the tests judge that.
"""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from bench.server_process import RunningServer

HERE = Path(__file__).parent
PROGRAMS = HERE.parents[2] / "build" / "venvs" / "ecosystem" / "bin"


def program(name: str) -> str:
    """The path of a program of that environment; skips the test where it is not built (in CI, that fails)."""
    path = PROGRAMS / name
    if not path.exists():
        pytest.skip(f"{name} is not there: build its environment with `make ecosystem`")
    return str(path)


def drive(script: str, server: RunningServer) -> dict[str, Any]:
    """Runs a driver against `server`; for each of its cases what it saw, or the traceback of what it met instead."""
    return report_of(script, server.grpc, server.http)


def report_of(script: str, *arguments: str) -> dict[str, Any]:
    """What a script prints, which must be one JSON object; fails the test with the script's own words when it fails."""
    command = [program("python"), str(HERE / script), *arguments]
    ran = subprocess.run(command, check=False, capture_output=True, text=True, timeout=240)
    assert ran.returncode == 0, ran.stderr
    report: dict[str, Any] = json.loads(ran.stdout)
    return report
