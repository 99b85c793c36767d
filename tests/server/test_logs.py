"""The log: its forms, what it does when it cannot be written, and which calls it tells of."""

import asyncio
import json
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from server.errors import InternalError, ModelNotFoundError
from server.events import Events, ImagesAnswered, Timings
from server.evidence.calls import Following, Headers, heard
from server.evidence.logs import JsonForm, Lines, Seldom, TextForm
from server.evidence.requests import RequestLog
from server.transport.calls import Calls
from tests.server.fakes import ManualClock

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture(autouse=True)
def no_trace() -> None:
    """No caller has said anything yet; tests of one process share what is said outside of tasks."""
    heard(Headers())


class Log:
    """A logger of its own whose lines go into a pipe."""

    def __init__(self, form: logging.Formatter) -> None:
        self.end, self.descriptor = os.pipe()
        self.handler = Lines(self.descriptor, form)
        self.logger = logging.Logger("test")
        self.logger.addHandler(self.handler)
        self.said = self.logger.info

    def text(self) -> str:
        """Everything that was written; nothing can be written any more."""
        self.handler.flush()
        os.close(self.descriptor)
        with open(self.end, closefd=False) as pipe:
            return pipe.read()

    def line(self) -> dict[str, Any]:
        """The only line, which is JSON."""
        found: dict[str, Any] = json.loads(self.text())
        return found


@contextmanager
def opened(form: logging.Formatter) -> Iterator[Log]:
    log = Log(form)
    try:
        yield log
    finally:
        os.close(log.end)


def following(*tellers: Any) -> Following:
    return Following(Events(), ManualClock(), tellers, begin_traces=False)


def test_a_line_of_json_has_time_level_logger_process_message_and_what_was_given_with_it() -> None:
    with opened(JsonForm("[2]")) as log:
        log.said("loaded %s", "shapes", extra={"model": "shapes", "seconds": 0.25, "color_message": "no"})
        line = log.line()
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "info",
        "logger": "test",
        "process": "2",
        "message": "loaded shapes",
        "model": "shapes",
        "seconds": 0.25,
    }


def test_every_line_within_a_call_has_its_request_id_and_trace() -> None:
    with opened(JsonForm("")) as log:
        heard(Headers(f"00-{TRACE}-00f067aa0ba902b7-01"))
        follow = following()
        call = follow.begin("order-66")
        log.said("decoding")
        follow.end(call)
        log.said("idle")
        within, after = map(json.loads, log.text().splitlines())
    assert (within["request_id"], within["trace_id"]) == ("order-66", TRACE)
    assert "request_id" not in after


async def test_tasks_of_a_call_are_part_of_it_and_those_of_others_are_not() -> None:
    async def ask(follow: Following, log: Log, number: int) -> None:
        follow.begin(f"request-{number}")

        async def part() -> None:
            log.said("%d", number)

        await asyncio.gather(part(), part())

    with opened(JsonForm("")) as log:
        follow = following()
        await asyncio.gather(*(ask(follow, log, number) for number in range(5)))
        told = [json.loads(line) for line in log.text().splitlines()]
    assert len(told) == 10
    assert all(line["request_id"] == f"request-{line['message']}" for line in told)


def test_an_exception_is_a_field() -> None:
    with opened(JsonForm("")) as log:
        try:
            raise ValueError("bad\nvalue")
        except ValueError:
            log.logger.exception("failed")
        line = log.line()
    assert line["message"] == "failed"
    assert line["exception"].startswith("Traceback")
    assert line["exception"].endswith("ValueError: bad\nvalue")


@pytest.mark.parametrize("form", [TextForm(""), JsonForm("")], ids=["text", "json"])
def test_no_caller_s_text_begins_a_line_of_its_own(form: logging.Formatter) -> None:
    forged = "x\n2026-01-01 00:00:00,000 ERROR   server: forged\r\x1b[2J"
    with opened(form) as log:
        try:
            raise ValueError(forged)
        except ValueError:
            log.logger.exception("for %s", forged)
        written = log.text()
    assert not [line for line in written.split("\n") if line.startswith("2026-01-01")]
    assert "\x1b" not in written
    assert "\r" not in written


@pytest.mark.parametrize("form", [TextForm(""), JsonForm("")], ids=["text", "json"])
def test_a_line_that_cannot_be_made_is_told_and_raises_nothing(form: logging.Formatter) -> None:
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError("no text")

    with opened(form) as log:
        log.said("%d images", "many")
        log.said("%s", Broken())
        log.said("half a pair: \ud800", extra={"of": {1: object()}, "not_a_number": float("nan")})
        written = log.text()
    assert written.count("\n") == 3
    assert "a line of the log cannot be written" in written
    assert "%d images" in written


def test_what_is_lost_on_a_full_disk_is_told_when_it_has_room_again() -> None:
    with opened(JsonForm("")) as log:
        pipe = os.dup(log.descriptor)
        full = os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, log.descriptor)
        for _ in range(3):
            log.said("lost")
        log.handler.flush()
        os.dup2(pipe, log.descriptor)
        log.said("written")
        log.handler.flush()
        os.close(pipe)
        os.close(full)
        messages = [json.loads(line)["message"] for line in log.text().splitlines()]
    assert messages[0] == "written"
    assert messages[1].startswith("3 lines of the log were lost")


def test_a_reader_that_has_gone_disturbs_nobody() -> None:
    end, descriptor = os.pipe()
    os.close(end)
    handler = Lines(descriptor, JsonForm(""))
    logger = logging.Logger("test")
    logger.addHandler(handler)
    logger.info("to nobody")
    handler.flush()
    os.close(descriptor)


def test_nobody_waits_for_a_reader_that_does_not_read() -> None:
    with opened(TextForm("")) as log:
        for number in range(10_000):
            log.said("%d %s", number, "x" * 100)
        reader = threading.Thread(target=_drain, args=(log.end,))
        reader.start()
        log.handler.flush()
        log.said("once more")
        log.handler.flush()
        os.close(log.descriptor)
        reader.join()


def _drain(descriptor: int) -> None:
    while os.read(descriptor, 1 << 16):
        pass


def test_what_happens_often_is_told_seldom_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock()
    seldom = Seldom(logging.getLogger("test"), 60, clock)
    for _ in range(10):
        seldom.warning("full")
    clock.now += 60
    seldom.warning("full")
    assert [record.getMessage() for record in caplog.records] == ["full", "full (9 more since the last line)"]


def test_a_call_is_told_with_its_code_its_time_and_its_images(caplog: pytest.LogCaptureFixture) -> None:
    clock, events = ManualClock(), Events()
    calls = Calls(events, lambda *_: ("shapes", "1"), Following(events, clock, [RequestLog(1.0)], begin_traces=False))
    with caplog.at_level(logging.INFO), calls.counted("Classify", "shapes", 0, "order-66"):
        clock.now += 0.125
        events.emit(ImagesAnswered("shapes", "1", Timings(0, 0, 0.1, 0, 0.125, 1), ("a", "b"), (0.5, 0.5)))
    (record,) = caplog.records
    assert record.getMessage() == "request 'order-66': Classify shapes/1: OK in 0.1250 s, 2 images"
    told = vars(record)
    assert (told["rpc"], told["model"], told["version"], told["code"]) == ("Classify", "shapes", "1", "OK")
    assert (told["seconds"], told["images"]) == (0.125, 2)


def test_the_rate_decides_by_the_request_id_alike_in_every_server(caplog: pytest.LogCaptureFixture) -> None:
    told = []
    for _ in range(2):
        calls = Calls(Events(), lambda *_: ("shapes", "1"), following(RequestLog(0.25)))
        caplog.clear()
        with caplog.at_level(logging.INFO):
            for number in range(200):
                with calls.counted("Classify", "shapes", 0, f"request-{number}"):
                    pass
        told.append([record.getMessage() for record in caplog.records])
    assert told[0] == told[1]
    assert 20 < len(told[0]) < 90


def test_what_fails_by_the_server_s_fault_is_told_whatever_the_rate(caplog: pytest.LogCaptureFixture) -> None:
    calls = Calls(Events(), lambda *_: ("shapes", "1"))
    with caplog.at_level(logging.INFO):
        with pytest.raises(InternalError), calls.counted("Classify", "shapes", 0, "broken"):
            raise ZeroDivisionError
        with pytest.raises(InternalError), calls.counted("Classify", "shapes", 0, "failed"):
            raise InternalError("the engine failed")
        with pytest.raises(ModelNotFoundError), calls.counted("Classify", "shapes", 0, "unknown"):
            raise ModelNotFoundError("no such model")
    assert [("broken" in message, "failed" in message) for message in caplog.messages] == [(True, True), (False, True)]
    assert caplog.records[0].exc_info is not None


def test_a_teller_that_fails_does_not_fail_the_call(caplog: pytest.LogCaptureFixture) -> None:
    def broken(_: object) -> None:
        raise RuntimeError("no")

    follow = following(broken)
    with Calls(Events(), lambda *_: ("", ""), follow).counted("Classify", "", 0, "order-66"):
        pass
    assert "a call cannot be told of" in caplog.text
