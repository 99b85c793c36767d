"""The measurements for an NVIDIA machine, tried out on the CPU."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from bench import jpeg
from bench.gpu import watch
from bench.gpu.__main__ import cli
from tests.bundles import make_bundle


def test_a_trial_on_the_cpu_measures_sessions_requests_and_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jpeg, "SIZES", ((40, 30),))
    bundle = make_bundle(tmp_path / "models/shapes/1")
    (tmp_path / "photographs").mkdir()
    random = np.random.default_rng(0)
    for name in ("a.jpg", "b.jpg"):
        Image.fromarray(random.integers(0, 256, (8, 8, 3), np.uint8)).save(tmp_path / "photographs" / name)
    options = ["--device", "cpu", "--largest-batch", "2", "--max-batch", "2", "--processes", "2", "--clients", "3"]
    options += ["--rounds", "1", "--seconds", "0.1", "--photographs", str(tmp_path / "photographs")]

    answer = CliRunner().invoke(cli, [str(bundle), *options, "--out", str(tmp_path / "gpu.md")])

    assert answer.exit_code == 0, answer.output
    written = (tmp_path / "gpu.md").read_text()
    assert "Not run on a GPU" in written
    for row in (
        "| 1 |",
        "| 2 |",
        "| raw, one client |",
        "| raw, explained, 3 clients |",
        "| JPEG 40 x 30, 3 clients |",
    ):
        assert row in written
    assert "### shapes: starting" in written


def test_without_a_gpu_it_ends_with_one_line_that_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    answer = CliRunner().invoke(cli, [str(tmp_path)])
    assert answer.exit_code == 1
    assert answer.stderr == "error: no nvidia-smi here, so no NVIDIA GPU: try things out with --device cpu\n"


def test_the_watch_reads_whole_lines_of_nvidia_smi_until_the_block_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "nvidia-smi"
    script.write_text("#!/bin/sh\nprintf '10, 400\\n30, 500\\n20, 450\\n9'\nexec sleep 60\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with watch.watching(True) as use:
        pass
    assert use.shown() == ("20", "500")
    with watch.watching(False) as use:
        pass
    assert use.shown() == ("", "")
