"""`python -m bundle verify`: one line for each bundle, and an exit status that a pipeline can use."""

import subprocess
import sys
from pathlib import Path

from typer.testing import CliRunner

from bundle.__main__ import app
from bundle.manifest import ONNX_MODEL
from tests.bundle.folders import sealed


def test_good_bundles_end_with_0(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["verify", str(sealed(tmp_path / "1")), str(sealed(tmp_path / "2"))])
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [f"good     {tmp_path / n}: 6 files, 3 labels" for n in "12"]


def test_one_bad_bundle_among_good_ones_ends_with_1_and_all_are_checked(tmp_path: Path) -> None:
    folders = [sealed(tmp_path / n) for n in "123"]
    (folders[1] / ONNX_MODEL).write_bytes(b"changed")
    result = CliRunner().invoke(app, ["verify", *map(str, folders)])
    assert result.exit_code == 1
    assert len(result.stdout.splitlines()) == 2
    assert result.stderr.startswith(f"refused  {folders[1] / ONNX_MODEL}: changed since export")


def test_no_folder_is_a_usage_error() -> None:
    result = CliRunner().invoke(app, ["verify"])
    assert result.exit_code == 2
    assert "Missing argument" in result.stderr


def test_the_command_runs_as_a_module(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bundle", "verify", str(sealed(tmp_path))]
    assert subprocess.run(command, check=False, capture_output=True).returncode == 0
