"""Two servers behind Envoy, with health checks: restarts cost nobody anything, and a kill costs only what was in work there."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bundles import make_bundle
from tests.e2e.envoy import CALLERS, REPEATABLE, Callers, Fleet, fleet


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Fleet]:
    make_bundle(tmp_path / "models/shapes/1")
    with fleet(tmp_path / "models", tmp_path, 2) as found:
        for which in (0, 1):
            found.start(which)
        found.wait_until_seen(2)
        yield found


@pytest.mark.parametrize("restarts", [2, pytest.param(10, marks=pytest.mark.slow)])
def test_restarting_servers_in_turn_fails_no_call(pair: Fleet, restarts: int) -> None:
    callers = Callers(pair.listener)
    with callers.at_work():
        for number in range(restarts):
            assert pair.end(number % 2, signal.SIGTERM) == 0
            pair.start(number % 2)
            pair.wait_until_seen(2)
    assert set(callers.ends) == {"OK"}, callers.ends


def test_a_kill_fails_no_more_than_the_calls_in_work_there(pair: Fleet) -> None:
    callers = Callers(pair.listener)
    with callers.at_work():
        pair.end(0, signal.SIGKILL)
        pair.wait_until_seen(1)
    failed = callers.ends.total() - callers.ends["OK"]
    # What each had in work, and at most one more that the kernel took for the process before it closed its sockets.
    assert failed <= 2 * CALLERS, callers.ends
    assert {end.partition(":")[0] for end in callers.ends} <= {"OK", "UNAVAILABLE"}


def test_a_kill_fails_nobody_whose_calls_may_be_repeated(pair: Fleet) -> None:
    callers = Callers(pair.listener, REPEATABLE)
    with callers.at_work():
        pair.end(0, signal.SIGKILL)
        pair.wait_until_seen(1)
    assert set(callers.ends) == {"OK"}, callers.ends
