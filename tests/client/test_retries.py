"""When a call is tried again, and for how long."""

from pathlib import Path

import grpc
import pytest
from google.rpc.code_pb2 import INTERNAL, UNAVAILABLE
from google.rpc.status_pb2 import Status

from client import ClassifyError
from client.calls import Tries, seconds_before_retry
from tests.client.blocking import Connect
from tests.client.fake import FakeServer, full, picture

Server = tuple[FakeServer, str]
AWAY = ClassifyError(grpc.StatusCode.UNAVAILABLE, "")
AWAY_FOR_2 = ClassifyError(grpc.StatusCode.UNAVAILABLE, "", retry_after=2.0)
FULL_FOR_2 = ClassifyError(grpc.StatusCode.RESOURCE_EXHAUSTED, "", retry_after=2.0)


@pytest.mark.parametrize(("error", "seconds"), [(AWAY, 0.05), (AWAY_FOR_2, 2.0), (FULL_FOR_2, 2.0)])
def test_a_server_that_is_away_or_full_is_asked_again(error: ClassifyError, seconds: float) -> None:
    assert seconds_before_retry(error, 0, 3, 30, jitter=0.5) == pytest.approx(seconds)


def test_other_errors_are_final() -> None:
    for code in set(grpc.StatusCode) - {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED}:
        assert seconds_before_retry(ClassifyError(code, "", retry_after=0.0), 0, 3, 30, jitter=0.5) is None


def test_what_is_too_much_at_any_time_is_not_asked_again() -> None:
    too_large = ClassifyError(grpc.StatusCode.RESOURCE_EXHAUSTED, "Received message larger than max")
    assert seconds_before_retry(too_large, 0, 3, 30, jitter=0.5) is None


def test_the_longest_wait_doubles_up_to_a_limit() -> None:
    longest = [seconds_before_retry(AWAY, retry, 2000, 30, jitter=1.0) for retry in (0, 1, 2, 3, 6, 7, 1999)]
    assert longest == pytest.approx([0.1, 0.2, 0.4, 0.8, 6.4, 6.4, 6.4])


def test_the_wait_is_anything_below_the_longest() -> None:
    assert [seconds_before_retry(AWAY, 1, 3, 30, jitter) for jitter in (0.0, 0.25)] == pytest.approx([0.0, 0.05])


def test_there_are_no_more_retries_than_allowed() -> None:
    assert seconds_before_retry(AWAY, 2, 3, 30, jitter=0.5) is not None
    assert seconds_before_retry(AWAY, 3, 3, 30, jitter=0.5) is None
    assert seconds_before_retry(AWAY, 0, 0, 30, jitter=0.5) is None


@pytest.mark.parametrize("error", [AWAY_FOR_2, FULL_FOR_2])
def test_nobody_waits_for_the_deadline(error: ClassifyError) -> None:
    assert seconds_before_retry(error, 0, 3, 2.001, jitter=0.5) == 2.0
    assert seconds_before_retry(error, 0, 3, 2.0, jitter=0.5) is None


def test_the_tries_of_one_call_share_its_time_and_its_retries() -> None:
    now = 100.0
    tries = Tries(10.0, 2, clock=lambda: now, jitter=lambda: 1.0)
    assert tries.seconds_left() == 10.0
    now = 103.0
    assert tries.seconds_left() == 7.0
    assert tries.wait_after(AWAY) == pytest.approx(0.1)
    assert tries.wait_after(AWAY) == pytest.approx(0.2)
    assert tries.wait_after(AWAY) is None


def test_a_full_server_that_has_room_when_it_said_answers(connect: Connect, server: Server, tmp_path: Path) -> None:
    server[0].failures.extend([full(0.001), full(0.001), Status(code=UNAVAILABLE)])
    with connect(server[1]) as client:
        (result,) = client.classify([picture(tmp_path, "a.png", "red")], "colours").results
    assert result.ok
    assert len(server[0].requests) == 4


def test_a_server_that_stays_full_is_an_error_after_the_last_retry(connect: Connect, server: Server) -> None:
    server[0].failures.extend([full(0.001)] * 3)
    with connect(server[1], retries=2) as client, pytest.raises(ClassifyError) as caught:
        client.classify([b""], "colours")
    assert caught.value.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert caught.value.retry_after == 0.001
    assert len(server[0].requests) == 3


def test_a_server_that_is_full_for_longer_than_the_timeout_is_an_error_at_once(
    connect: Connect, server: Server
) -> None:
    server[0].failures.append(full(3600.0))
    with connect(server[1]) as client, pytest.raises(ClassifyError, match="the server is full"):
        client.classify([b""], "colours")
    assert len(server[0].requests) == 1


def test_a_failure_of_the_server_is_not_tried_again(connect: Connect, server: Server) -> None:
    server[0].failures.append(Status(code=INTERNAL, message="the engine failed"))
    with connect(server[1]) as client, pytest.raises(ClassifyError, match="INTERNAL: the engine failed"):
        client.classify([b""], "colours")
    assert len(server[0].requests) == 1
