"""classify_stream of both clients: requests in, answers out, in order, whatever fails between."""

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from client import ClassifyError, Request
from tests.client.blocking import Connect
from tests.client.fake import SLOW, FakeServer, full, picture

Server = tuple[FakeServer, str]


def test_answers_come_in_the_order_of_the_requests(connect: Connect, server: Server, tmp_path: Path) -> None:
    colours = ["red", "lime", "blue"] * 20
    requests = [
        Request([picture(tmp_path, f"{number}.png", colour)], "colours", request_id=str(number))
        for number, colour in enumerate(colours)
    ]
    with connect(server[1]) as client:
        answers = list(client.classify_stream(requests))
    assert [answer.request_id for answer in answers] == [str(number) for number in range(60)]
    labels = [answer.classification.results[0].predictions[0].label for answer in answers if answer.classification]
    assert labels == ["red", "green", "blue"] * 20


def test_a_failed_request_is_an_error_in_its_place(connect: Connect, server: Server, tmp_path: Path) -> None:
    good = Request([picture(tmp_path, "a.png", "red")], "colours")
    server[0].failures.append(full(1.5))
    with connect(server[1]) as client:
        shed, ok, wrong, bad, last = client.classify_stream(
            [good, good, good._replace(model="animals"), good._replace(images=[b"text"]), good]
        )
    assert ok.classification is not None
    assert last.classification is not None
    assert [each.classification for each in (shed, wrong, bad)] == [None] * 3
    assert [each.error.code if each.error else None for each in (shed, wrong, bad, ok)] == [
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.INVALID_ARGUMENT,
        None,
    ]
    assert shed.error is not None
    assert shed.error.retry_after == 1.5


def test_a_request_that_cannot_be_sent_is_raised_after_the_answers_before_it(
    connect: Connect, server: Server, tmp_path: Path
) -> None:
    good = Request([picture(tmp_path, "a.png", "red")], "colours")
    answered = 0
    with connect(server[1]) as client, pytest.raises(FileNotFoundError):  # noqa: PT012
        for answer in client.classify_stream([good, good, good._replace(images=["no/such/file.png"]), good]):
            answered += answer.error is None
    assert answered == 2


def test_an_error_of_the_source_of_requests_reaches_the_reader_of_the_answers(
    connect: Connect, server: Server, tmp_path: Path
) -> None:
    def requests() -> Iterator[Request]:
        yield Request([picture(tmp_path, "a.png", "red")], "colours")
        raise LookupError("the camera is gone")

    with connect(server[1]) as client, pytest.raises(LookupError, match="the camera is gone"):
        list(client.classify_stream(requests()))


def test_a_stream_that_the_server_breaks_is_an_error_after_what_was_answered(
    connect: Connect, server: Server, tmp_path: Path
) -> None:
    good = Request([picture(tmp_path, "a.png", "red")], "colours")
    answered = 0
    with connect(server[1]) as client, pytest.raises(ClassifyError, match="go on with another one") as caught:  # noqa: PT012
        for answer in client.classify_stream([good, good, good._replace(model="shutdown"), good]):
            answered += answer.error is None
    assert caught.value.code is grpc.StatusCode.UNAVAILABLE
    assert answered == 2


def test_a_reader_that_leaves_ends_the_stream(connect: Connect, server: Server, tmp_path: Path) -> None:
    good = Request([picture(tmp_path, "a.png", "red")], "colours")
    with connect(server[1]) as client:
        answers = client.classify_stream([good] * 3)
        assert next(iter(answers)).error is None
        answers.close()
        assert list(answers) == []
        assert client.classify(good.images, "colours").results[0].ok


def test_the_timeout_of_a_stream_ends_it(connect: Connect, server: Server) -> None:
    with connect(server[1]) as client, pytest.raises(ClassifyError) as caught:
        list(client.classify_stream([Request([SLOW], "colours")], timeout=0.05))
    assert caught.value.code is grpc.StatusCode.DEADLINE_EXCEEDED


def test_a_stream_of_nothing_is_empty(connect: Connect, server: Server) -> None:
    with connect(server[1]) as client:
        assert list(client.classify_stream([])) == []
