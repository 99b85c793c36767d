"""The spans of a call, as a collector gets them."""

import logging
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from server.events import Events, ImagesAnswered, Timings
from server.evidence import w3c
from server.evidence.calls import Call, Following, Headers, Http, heard
from server.evidence.traces import Traces
from tests.server.collector import Collector, attributes, collecting
from tests.server.fakes import ManualClock

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
MS = 1_000_000


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with collecting() as running:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", running.url)
        yield running


@pytest.fixture(autouse=True)
def no_trace() -> None:
    """No caller has said anything yet; tests of one process share what is said outside of tasks."""
    heard(Headers())


class Calls:
    """Calls that are followed, by a clock that the test moves."""

    def __init__(self, rate: float | None = None) -> None:
        self.clock, self.events = ManualClock(), Events()
        self.traces = Traces(rate)
        self.following = Following(self.events, self.clock, [self.traces], begin_traces=True)

    def begin(self, traceparent: str = "", tracestate: str = "", http: Http | None = None) -> Call:
        heard(Headers(traceparent, tracestate))
        call = self.following.begin("order-66", http)
        call.rpc, call.model, call.version = "Classify", "shapes", "1"
        return call

    def end(self, call: Call, code: str = "OK", error: str = "") -> None:
        call.code, call.error = code, error
        self.following.end(call)

    def answer(self, *stages: int, batch: int = 1) -> None:
        """An image was answered that took so many milliseconds to decode, queue, infer and render, and in total."""
        decode, queue, infer, render, total = (each / 1000 for each in stages)
        timings = Timings(decode, queue, infer, render, total, batch)
        self.events.emit(ImagesAnswered("shapes", "1", timings, ("star",), (0.9,)))

    def send(self) -> None:
        self.traces.close(30)


def milliseconds(span: Span, since: Span) -> tuple[float, float]:
    """When a span began and ended, since another one began."""
    start = since.start_time_unix_nano
    return round((span.start_time_unix_nano - start) / MS, 3), round((span.end_time_unix_nano - start) / MS, 3)


def test_a_call_is_a_span_below_its_caller_s_with_one_for_each_stage_inside(collector: Collector) -> None:
    calls = Calls()
    call = calls.begin(f"00-{TRACE}-{PARENT}-01", "vendor=1")
    calls.clock.now += 0.020
    calls.answer(4, 3, 5, 2, 18, batch=7)  # 18 ms in total, of which 4 ms were spent waiting for nothing in particular
    calls.clock.now += 0.001
    calls.end(call)
    calls.send()
    (root,) = collector.roots()
    assert (root.name, root.trace_id.hex(), root.parent_span_id.hex()) == (
        "seethrough.v1.ImageClassifier/Classify",
        TRACE,
        PARENT,
    )
    assert root.trace_state == "vendor=1"
    assert milliseconds(root, root) == (0, 21)
    found = {span.name: milliseconds(span, root) for span in collector.children(root)}
    assert found == {"decode": (2, 6), "queue": (6, 9), "infer": (9, 14), "render": (18, 20)}
    infer = next(span for span in collector.spans if span.name == "infer")
    assert attributes(infer.attributes) == {"seethrough.batch_images": "7"}
    assert collector.services == {"seethrough"}
    assert collector.paths == {"/v1/traces"}


def test_attributes_follow_the_conventions_for_rpc(collector: Collector) -> None:
    calls = Calls()
    call = calls.begin()
    calls.end(call, "NOT_FOUND", "no model")
    calls.send()
    (root,) = collector.roots()
    assert attributes(root.attributes) == {
        "rpc.system": "grpc",
        "rpc.service": "seethrough.v1.ImageClassifier",
        "rpc.method": "Classify",
        "rpc.grpc.status_code": "5",
        "seethrough.request_id": "order-66",
        "seethrough.model": "shapes",
        "seethrough.version": "1",
    }


def test_attributes_follow_the_conventions_for_http(collector: Collector) -> None:
    calls = Calls()
    call = calls.begin(http=Http("POST", "/v1/models/shapes:classify", "http"))
    call.route("/v1/models/{model}:classify")
    assert call.http is not None
    call.http.status = 200
    calls.end(call)
    calls.send()
    (root,) = collector.roots()
    assert root.name == "POST /v1/models/{model}:classify"
    told = attributes(root.attributes)
    assert told["http.route"] == "/v1/models/{model}:classify"
    assert (told["http.request.method"], told["http.response.status_code"]) == ("POST", "200")
    assert (told["url.path"], told["url.scheme"]) == ("/v1/models/shapes:classify", "http")


def test_stages_of_several_images_last_from_the_first_to_enter_to_the_last_to_leave(collector: Collector) -> None:
    calls = Calls()
    call = calls.begin()
    calls.clock.now += 0.010
    calls.answer(2, 3, 5, 0, 10)
    calls.clock.now += 0.010
    calls.answer(2, 3, 15, 0, 20, batch=4)
    calls.end(call)
    calls.send()
    (root,) = collector.roots()
    found = {span.name: milliseconds(span, root) for span in collector.children(root)}
    assert found == {"decode": (0, 2), "queue": (2, 5), "infer": (5, 20)}
    assert attributes(root.attributes)["seethrough.images"] == "2"


def test_stages_stay_inside_where_the_longest_of_several_parts_are_told(collector: Collector) -> None:
    calls = Calls()
    call = calls.begin()
    calls.clock.now += 0.015
    calls.answer(0, 10, 12, 0, 15)
    calls.end(call)
    calls.send()
    (root,) = collector.roots()
    found = {span.name: milliseconds(span, root) for span in collector.children(root)}
    assert found == {"queue": (0, 10), "infer": (3, 15)}


@pytest.mark.parametrize(
    ("code", "is_error"), [("OK", False), ("INVALID_ARGUMENT", False), ("INTERNAL", True), ("UNAVAILABLE", True)]
)
def test_only_what_the_server_did_wrong_is_an_error(collector: Collector, code: str, is_error: bool) -> None:
    calls = Calls()
    calls.end(calls.begin(), code, "the engine failed")
    calls.send()
    (root,) = collector.roots()
    assert (root.status.code == Status.STATUS_CODE_ERROR) is is_error


def test_a_caller_s_decision_not_to_sample_is_obeyed(collector: Collector) -> None:
    calls = Calls(rate=1.0)
    calls.end(calls.begin(f"00-{TRACE}-{PARENT}-00"))
    calls.send()
    assert not collector.spans


def test_a_caller_s_decision_to_sample_is_obeyed_whatever_the_rate(collector: Collector) -> None:
    calls = Calls(rate=0.0)
    calls.end(calls.begin(f"00-{TRACE}-{PARENT}-01"))
    calls.end(calls.begin())
    calls.send()
    assert [root.trace_id.hex() for root in collector.roots()] == [TRACE]


def test_a_trace_that_begins_here_has_the_id_that_the_log_tells(collector: Collector) -> None:
    calls = Calls()
    call = calls.begin()
    calls.end(call)
    calls.send()
    (root,) = collector.roots()
    assert call.trace is not None
    assert root.trace_id.hex() == call.trace.trace_id
    assert not root.parent_span_id


def test_equal_rates_keep_the_same_calls_in_the_traces_and_in_the_log(collector: Collector) -> None:
    calls = Calls(rate=0.3)
    wanted = []
    for _ in range(200):
        call = calls.begin()
        calls.end(call)
        if call.trace is not None and call.kept(0.3):
            wanted.append(call.trace.trace_id)
    calls.send()
    assert 20 < len(wanted) < 110
    assert {root.trace_id.hex() for root in collector.roots()} == set(wanted)


@pytest.mark.parametrize(
    "traceparent",
    [
        "",
        "nonsense",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-01-more",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-01\n",
    ],
)
def test_a_traceparent_that_is_none_is_ignored(traceparent: str) -> None:
    assert w3c.read(traceparent, "") is None


def test_a_later_version_s_traceparent_is_read_as_far_as_it_is_known() -> None:
    assert w3c.read(f"cc-{TRACE}-{PARENT}-01-what-the-future-brings", "a=1") == w3c.Trace(TRACE, PARENT, 1, "a=1")


def test_a_collector_that_is_away_costs_one_line_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{nobody.getsockname()[1]}")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
        monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "64")
        monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "32")
        calls = Calls()
        with caplog.at_level(logging.DEBUG):
            for _ in range(200):
                calls.end(calls.begin())
            calls.send()
    assert [record.name for record in caplog.records if "traces are not sent" in record.getMessage()] == [
        "server.evidence.traces"
    ]
    assert not [record for record in caplog.records if record.name.startswith("opentelemetry")]


def test_what_is_off_is_not_even_imported() -> None:
    code = "import sys, server.app; print([name for name in sys.modules if name.startswith(('opentelemetry', 'requests'))])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"
