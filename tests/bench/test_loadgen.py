"""The load generator against small servers whose answers are known."""

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import grpc
import pytest

from bench import loadgen
from bench.loadgen import Calls

METHOD = "/test.Echo/Say"
BODIES = [b"one", b"two", b"three"]

Say = Callable[[bytes, grpc.ServicerContext], bytes]

pytestmark = pytest.mark.skipif(not loadgen.GENERATOR.exists(), reason="compile it with `make build/loadgen`")


@contextmanager
def grpc_server(say: Say) -> Iterator[str]:
    """Answers METHOD by `say`; gives HOST:PORT."""
    handler = grpc.method_handlers_generic_handler("test.Echo", {"Say": grpc.unary_unary_rpc_method_handler(say)})
    with futures.ThreadPoolExecutor(4) as pool:
        server = grpc.server(pool, [handler])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            server.stop(None).wait()


@contextmanager
def http_server(status: int = 200, *, chunked: bool = False) -> Iterator[str]:
    """Answers a POST to /echo with its body; gives HOST:PORT."""

    class Echo(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status if self.path == "/echo" else 404)
            if chunked:
                self.send_header("Transfer-Encoding", "chunked")
                body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:2], body[2:], b""))
            else:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def echo(request: bytes, _: grpc.ServicerContext) -> bytes:
    return request


def same_as_sent(number: int, answer: bytes) -> str:
    return "" if answer == BODIES[number] else f"{answer!r} instead of {BODIES[number]!r}"


def test_requests_take_turns_and_each_answer_is_compared_with_its_own_request() -> None:
    seen: list[int] = []

    def judge(number: int, answer: bytes) -> str:
        seen.append(number)
        return same_as_sent(number, answer)

    with grpc_server(echo) as target:
        load = loadgen.run(target, Calls(BODIES, METHOD, judge=judge), clients=8, seconds=0.05)
    assert (load.errors, load.first_error) == (0, "")
    assert sorted(seen) == [0, 1, 2]  # equal answers to one request are judged once


def test_a_wrong_answer_is_an_error_with_its_reason() -> None:
    with grpc_server(lambda request, _: b"2" if request == b"two" else request) as target:
        load = loadgen.run(target, Calls(BODIES, METHOD, judge=same_as_sent), clients=3, seconds=0)
    assert load.errors == 1
    assert load.first_error == "request 1: b'2' instead of b'two'"


def test_a_refused_call_is_an_error_with_status_and_message() -> None:
    def refuse(_: bytes, context: grpc.ServicerContext) -> bytes:
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, "too small")

    with grpc_server(refuse) as target:
        load = loadgen.run(target, Calls(BODIES, METHOD), clients=2, seconds=0)
    assert load.errors == len(load.latencies) == 2
    assert load.first_error.endswith("gRPC status 3: too small")


def test_messages_larger_than_the_windows_of_http2_pass_both_ways() -> None:
    bodies = [bytes([number]) * 3_000_000 for number in range(3)]
    with grpc_server(echo) as target:
        judged = Calls(bodies, METHOD, judge=lambda number, answer: "" if answer == bodies[number] else "differs")
        load = loadgen.run(target, judged, clients=3, seconds=0)
    assert (len(load.latencies), load.first_error) == (3, "")


def test_the_meter_rises_by_the_timed_calls_alone() -> None:
    calls = []

    def count(request: bytes, _: grpc.ServicerContext) -> bytes:
        calls.append(request)
        return request

    with grpc_server(count) as target:
        load = loadgen.run(target, Calls(BODIES, METHOD), clients=4, seconds=0.02, meter=lambda: len(calls))
    assert load.metered == len(load.latencies) < len(calls)
    assert load.rate == len(load.latencies) / load.seconds
    assert (load.latencies > 0).all()
    assert load.client_cpu_seconds > 0


def test_an_open_loop_calls_at_its_rate_whatever_becomes_of_the_calls_before() -> None:
    held = threading.Event()

    def hold(request: bytes, _: grpc.ServicerContext) -> bytes:
        if request == b"one":
            held.wait()
        return request

    timer = threading.Timer(0.5, held.set)
    with grpc_server(hold) as target:
        timer.start()
        load = loadgen.run(target, Calls(BODIES, METHOD), clients=50, rate=40, seconds=0.2, warm_up_seconds=0)
    timer.join()
    assert len(load.latencies) == 8
    assert load.errors == 0
    assert load.latencies.max() > 0.2  # the first waited until the end, and the others were sent all the same


def test_an_open_loop_with_too_few_clients_says_so() -> None:
    held = threading.Event()

    def hold(request: bytes, _: grpc.ServicerContext) -> bytes:
        held.wait()
        return request

    with grpc_server(hold) as target:
        with pytest.raises(RuntimeError, match="all 2 clients have a call in flight"):
            loadgen.run(target, Calls(BODIES, METHOD), clients=2, rate=1000, seconds=1, warm_up_seconds=0)
        held.set()


def test_every_call_carries_its_deadline_and_the_status_of_each_is_kept() -> None:
    left: list[float] = []

    def late(request: bytes, context: grpc.ServicerContext) -> bytes:
        left.append(context.time_remaining())
        if request == b"two":
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "full")
        return request

    with grpc_server(late) as target:
        load = loadgen.run(target, Calls(BODIES, METHOD), clients=3, seconds=0, warm_up_seconds=0, timeout_ms=5000)
    assert sorted(load.statuses.tolist()) == [0, 0, 8]
    assert all(4 < seconds <= 5 for seconds in left)


@pytest.mark.parametrize("chunked", [False, True])
def test_http_bodies_are_answered_over_one_connection_for_each_client(chunked: bool) -> None:
    with http_server(chunked=chunked) as target:
        calls = Calls(BODIES, "/echo", "http", {"Content-Type": "text/plain"}, same_as_sent)
        load = loadgen.run(target, calls, clients=5, seconds=0.02)
    assert (load.errors, load.first_error) == (0, "")
    assert len(load.latencies) >= 5


def test_another_http_status_is_an_error() -> None:
    with http_server(503) as target:
        load = loadgen.run(target, Calls([b"wait"], "/echo", "http"), seconds=0)
    assert (load.errors, load.first_error) == (1, "request 0: HTTP status 503: wait")


def test_a_port_that_nobody_listens_on_is_told() -> None:
    with closing(socket.socket()) as bound:
        bound.bind(("127.0.0.1", 0))
        target = f"127.0.0.1:{bound.getsockname()[1]}"
        with pytest.raises(RuntimeError, match=f"{target}: Connection refused"):
            loadgen.run(target, Calls([b"x" * 1_000_000] * 3))


def test_a_server_that_hangs_up_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up() -> None:
            connection, _ = server.accept()
            connection.recv(1)
            connection.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        with pytest.raises(RuntimeError, match="after 0 answers"):
            loadgen.run(f"127.0.0.1:{server.getsockname()[1]}", Calls(BODIES, METHOD))
        thread.join()


def test_without_the_compiled_generator_one_is_told_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(loadgen, "GENERATOR", tmp_path / "loadgen")
    with pytest.raises(RuntimeError, match="make build/loadgen"):
        loadgen.run("127.0.0.1:1", Calls(BODIES))
