"""Several workers come to what one comes to; the first keeps it; a worker that is lost is told of, and the run goes on when all are back."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bundle import run as runs
from bundle.run import Run
from tests.e2e.envoy import free_ports
from training import workers
from training.errors import RecipeError
from training.workers import ALONE, Team

# No dropout, which falls differently on shares; batch normalisation, whose statistics have to be exchanged.
SMALL = (
    "network.blocks=[{filters=4, kernel=5, pool=3, dropout=0.0}]",
    "network.layers.batch_normalisation=true",
    "training.batch_size=128",
)


def configuration(ports: list[int], index: int) -> str:
    cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
    return json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})


def training(out: Path, config: str, *options: str) -> "subprocess.Popen[str]":
    changes = [word for change in (*SMALL, *options) for word in ("--set", change)]
    command = [sys.executable, "-m", "training", "run", "digits", "--out", str(out), *changes]
    environment = {**os.environ, "TF_CONFIG": config, "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def started(out: Path, *options: str) -> "list[subprocess.Popen[str]]":
    """Two workers that write the same folder, as on a volume that they share."""
    ports = free_ports(2)
    return [training(out, configuration(ports, index), *options) for index in (0, 1)]


def ended(processes: "list[subprocess.Popen[str]]") -> list[tuple[int, str]]:
    return [(process.returncode, output) for process in processes for output, _ in [process.communicate(timeout=200)]]


def trained(out: Path) -> Run:
    run = runs.read(out)
    assert isinstance(run, Run)
    return run


@pytest.mark.parametrize(
    ("config", "team"),
    [
        ("", ALONE),
        ('{"cluster": {"worker": ["a:1", "b:1", "c:1"]}, "task": {"type": "worker", "index": 2}}', Team(2, 3)),
        ('{"cluster": {"chief": ["a:1"], "worker": ["b:1"]}, "task": {"type": "chief", "index": 0}}', Team(0, 2)),
        ('{"cluster": {"chief": ["a:1"], "worker": ["b:1"]}, "task": {"type": "worker", "index": 0}}', Team(1, 2)),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 0}, "environment": "cloud"}', ALONE),
    ],
)
def test_tf_config_says_which_worker_of_how_many_this_is(
    config: str, team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TF_CONFIG", config)
    assert workers.configured() == team
    assert workers.chosen("auto") == ("workers" if team.size > 1 else "auto", team)
    assert workers.chosen("none") == ("none", ALONE)


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ("worker 0", "malformed"),
        ('{"cluster": {"worker": ["a:1"]}}', "missing required field `task`"),
        ('{"cluster": {"worker": ["a:1"], "ps": ["b:1"]}, "task": {"type": "ps", "index": 0}}', "unknown field `ps`"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "evaluator", "index": 0}}', "no evaluator 0"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}', "no worker 1"),
    ],
)
def test_a_tf_config_that_cannot_be_followed_is_refused(
    config: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TF_CONFIG", config)
    with pytest.raises(RecipeError, match=told):
        workers.configured()


def test_workers_without_others_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(RecipeError, match="--strategy workers: TF_CONFIG names no other worker"):
        workers.chosen("workers")


def test_batches_that_cannot_be_shared_out_evenly_are_refused() -> None:
    Team(0, 4).check(64)
    with pytest.raises(RecipeError, match=r"training\.batch_size: 30 cannot be shared out to 4 workers evenly"):
        Team(0, 4).check(30)


@pytest.mark.slow
def test_two_workers_come_to_what_one_comes_to_and_the_first_writes_it(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    changes = ("training.epochs=3", "network.layers.batch_normalisation=false")
    # 1,257 pictures: two workers leave one out in each epoch.
    ((status, output),) = ended([training(one, "", *changes)])
    assert status == 0, output
    for status, output in ended(started(two, *changes)):
        assert status == 0, output
    assert {each.name for each in tmp_path.iterdir()} == {"one", "two"}
    assert trained(two).metrics["test"].loss == pytest.approx(trained(one).metrics["test"].loss, rel=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("lost", [0, 1])
def test_a_worker_that_is_lost_is_told_of_and_the_run_goes_on_when_all_are_back(tmp_path: Path, lost: int) -> None:
    out, undisturbed = tmp_path / "run", tmp_path / "undisturbed"
    for status, output in ended(started(undisturbed, "training.epochs=40")):
        assert status == 0, output
    processes = started(out, "training.epochs=40")
    state = tmp_path / ".run.unfinished" / "pass-1.npz"
    while not state.exists():  # an epoch is complete
        assert processes[lost].poll() is None, ended(processes)
        time.sleep(0.05)
    processes[lost].send_signal(signal.SIGKILL)
    _, (status, output) = sorted(ended(processes), key=lambda end: end[0])
    assert status == 1, output
    assert "another worker is gone; start all of them again" in output
    assert not out.exists()
    for status, output in ended(started(out, "training.epochs=40")):
        assert status == 0, output
    assert trained(out).metrics == trained(undisturbed).metrics
