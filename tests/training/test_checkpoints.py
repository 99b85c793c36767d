"""A run that is killed goes on where it was, and comes to what it would have come to."""

import csv
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bundle import run as runs
from training import checkpoints
from training.checkpoints import Checkpoint, State
from training.errors import DataError, RecipeError, TrainingError

SETTINGS = {"training": {"seed": 1}}
STATE = State([{"number": 1, "loss": 0.5}], 1, {"network": [np.arange(3.0), np.ones((2, 2), np.int64)], "best": []})
# Dropout and a plateau's memory are what a resumed run could most easily get wrong.
RECIPE = [
    "digits", "--epochs", "6",
    "--set", "network.blocks=[{filters=4, kernel=5, pool=3, dropout=0.3}]", "--set", "training.batch_size=64",
    "--set", "training.schedule={name='plateau', patience=1, factor=0.5}", "--set", "training.learning_rate=0.02",
]  # fmt: skip


def train(out: Path, kill_after: str = "") -> str:
    """Runs training in a process of its own, and kills it as soon as it has printed a line with `kill_after` in it."""
    command = [sys.executable, "-m", "training", "run", *RECIPE, "--out", str(out)]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    seen = ""
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            seen += line
            if kill_after and kill_after in line:
                process.send_signal(signal.SIGKILL)
                break
        seen += process.stderr.read()
    assert process.returncode == (-signal.SIGKILL if kill_after else 0), seen
    return seen


def figures(folder: Path) -> tuple[list[dict[str, str]], dict[str, Any]]:
    """The history without times, and the final metrics."""
    with (folder / runs.HISTORY).open(newline="") as file:
        history = [{name: value for name, value in row.items() if name != "seconds"} for row in csv.DictReader(file)]
    return history, {split: (each.loss, each.accuracy) for split, each in runs.read(folder).metrics.items()}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_killed_run_goes_on_and_ends_exactly_as_one_that_was_left_alone(tmp_path: Path) -> None:
    train(tmp_path / "whole")
    train(tmp_path / "killed", kill_after="epoch   3/6")
    assert not (tmp_path / "killed").exists()
    assert "going on with the run" in train(tmp_path / "killed")
    assert figures(tmp_path / "killed") == figures(tmp_path / "whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["killed", "whole"]


def test_a_state_is_read_as_it_was_saved(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "pass-1.npz")
    assert checkpoint.load() is None
    checkpoint.save(STATE)
    read = checkpoint.load()
    assert read is not None
    assert (read.history, read.best) == (STATE.history, STATE.best)
    for found, written in zip(read.arrays["network"], STATE.arrays["network"], strict=True):
        np.testing.assert_array_equal(found, written)


def test_a_state_cut_short_is_refused_with_what_to_do(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "pass-1.npz")
    checkpoint.save(STATE)
    whole = (tmp_path / "pass-1.npz").read_bytes()
    (tmp_path / "pass-1.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"cannot be read .* to begin anew"):
        checkpoint.load()


def unfinished(out: Path) -> None:
    """Leaves what a Ctrl-C after the first epoch leaves."""

    def save() -> None:
        with checkpoints.kept(out, SETTINGS):
            checkpoint = checkpoints.begin()
            assert checkpoint is not None
            checkpoint.save(STATE)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        save()


def test_the_same_settings_go_on_and_others_are_refused(tmp_path: Path) -> None:
    unfinished(tmp_path / "run")
    other = checkpoints.kept(tmp_path / "run", {"training": {"seed": 2}})
    with pytest.raises(RecipeError, match="an unfinished run with other settings"), other:
        pass
    with checkpoints.kept(tmp_path / "run", SETTINGS) as there:
        checkpoint = checkpoints.begin()
        assert there
        assert checkpoint is not None
        state = checkpoint.load()
        assert state is not None
        assert state.history == STATE.history
    assert not list(tmp_path.iterdir())


def test_two_processes_cannot_train_for_one_folder(tmp_path: Path) -> None:
    with (
        checkpoints.kept(tmp_path / "run", SETTINGS),
        pytest.raises(RecipeError, match="another process is training"),
        checkpoints.kept(tmp_path / "run", SETTINGS),
    ):
        pass


@pytest.mark.parametrize("error", [TrainingError, KeyboardInterrupt])
def test_what_fails_before_the_first_epoch_is_complete_leaves_nothing(
    error: type[BaseException], tmp_path: Path
) -> None:
    with pytest.raises(error), checkpoints.kept(tmp_path / "run", SETTINGS):
        raise error
    assert not list(tmp_path.iterdir())


def test_nothing_is_kept_where_nobody_asked_for_it() -> None:
    assert checkpoints.begin() is None
