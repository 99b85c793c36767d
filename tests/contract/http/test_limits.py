"""What is refused before it costs anything, and what HTTP itself can get wrong."""

import contextlib
import gzip
import http.client
import socket

import pytest

from bench.server_process import RunningServer
from tests.contract.http.asking import INFER, SHAPES, ask, pixels, png

LIMIT = 1 << 20  # the fixture's --max-request-mib
PICTURE = png(pixels()[0])


def first_line(server: RunningServer, head: bytes) -> bytes:
    """The first line of the answer to a request of which no more than the head is sent."""
    host, port = server.http.split(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(head)
        return connection.makefile("rb").readline().strip()


def test_a_body_over_the_limit_is_refused_before_a_byte_of_it_is_read(server: RunningServer) -> None:
    head = f"POST {INFER} HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000000000\r\n\r\n".encode()
    assert first_line(server, head) == b"HTTP/1.1 413 Request Entity Too Large"


def test_a_client_that_waits_for_the_go_ahead_is_refused_instead(server: RunningServer) -> None:
    head = f"POST {INFER} HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: {LIMIT + 1}\r\n\r\n".encode()
    assert first_line(server, head) == b"HTTP/1.1 413 Request Entity Too Large"


def test_a_client_that_sends_all_the_same_gets_to_read_the_reason(server: RunningServer) -> None:
    answer = ask(server.http, "POST", SHAPES, bytes(LIMIT + 1))
    assert (answer.status, answer.headers["connection"]) == (413, "close")
    assert answer.error == "the body is larger than the limit of 1,048,576 bytes; send less at a time"


def test_a_body_of_unknown_length_is_refused_when_it_has_passed_the_limit(server: RunningServer) -> None:
    connection = http.client.HTTPConnection(server.http, timeout=60)
    connection.request(
        "POST", SHAPES, iter([bytes(LIMIT // 2)] * 3), encode_chunked=True, headers={"transfer-encoding": "chunked"}
    )
    assert connection.getresponse().status == 413
    connection.close()


def test_a_body_of_unknown_length_within_the_limit_is_answered(server: RunningServer) -> None:
    connection = http.client.HTTPConnection(server.http, timeout=60)
    halves = [PICTURE[:100], PICTURE[100:]]
    connection.request("POST", SHAPES, iter(halves), encode_chunked=True, headers={"transfer-encoding": "chunked"})
    assert connection.getresponse().status == 200
    connection.close()


def test_a_bomb_is_refused_when_it_has_unpacked_to_the_limit(server: RunningServer) -> None:
    answer = ask(server.http, "POST", SHAPES, gzip.compress(bytes(100 * LIMIT)), content_encoding="gzip")
    assert answer.status == 413


BROKEN = {
    "not gzip": (PICTURE, "the body does not unpack: "),
    "cut off": (gzip.compress(PICTURE)[:-10], "the body does not unpack: it ends too early"),
    "more behind it": (gzip.compress(PICTURE) + b"more", "the body does not unpack: 4 bytes after its end"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_body_that_does_not_unpack_is_refused(server: RunningServer, case: str) -> None:
    body, reason = BROKEN[case]
    answer = ask(server.http, "POST", SHAPES, body, content_encoding="gzip")
    assert answer.status == 400
    assert reason in answer.error


def test_an_unknown_encoding_is_refused_with_those_that_are_known(server: RunningServer) -> None:
    answer = ask(server.http, "POST", SHAPES, PICTURE, content_encoding="br")
    assert (answer.status, answer.headers["accept-encoding"]) == (415, "gzip, deflate")


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("x-request-id", "a b", "x-request-id: at most 128 visible ASCII characters"),
        ("x-request-id", "a" * 129, "x-request-id: at most 128 visible ASCII characters"),
        ("grpc-timeout", "soon", "grpc-timeout: 'soon'; write up to eight digits and a unit"),
        ("grpc-timeout", "-5S", "grpc-timeout: '-5S'; write"),
        ("grpc-timeout", "123456789m", "grpc-timeout: '123456789m'; write"),
    ],
)
def test_a_wrong_header_is_named(server: RunningServer, name: str, value: str, reason: str) -> None:
    answer = ask(server.http, "POST", SHAPES, PICTURE, **{name: value})
    assert answer.status == 400
    assert reason in answer.error


@pytest.mark.parametrize("before", [b"", b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n"])
def test_headers_that_do_not_end_are_refused(server: RunningServer, before: bytes) -> None:
    host, port = server.http.split(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        lines = connection.makefile("rb")
        if before:
            connection.sendall(before)
            while lines.readline() != b"ok\n":
                pass
        connection.sendall(b"GET /v2 HTTP/1.1\r\nx: ")
        # The server may close while the rest is on its way.
        with contextlib.suppress(ConnectionError):
            connection.sendall(bytes(b"a" * (1 << 20)))
        assert lines.readline().strip() == b"HTTP/1.1 400 Bad Request"


def test_a_request_may_begin_behind_a_large_one(server: RunningServer) -> None:
    host, port = server.http.split(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        size = 512 * 1024
        large = f"POST {SHAPES} HTTP/1.1\r\nhost: x\r\ncontent-length: {size}\r\n\r\n".encode() + bytes(size)
        connection.sendall(large + b"GET /livez HTTP/1.1\r\n")
        connection.sendall(b"host: x\r\nconnection: close\r\n\r\n")
        answers = connection.makefile("rb").read()
    assert answers.startswith(b"HTTP/1.1 400 ")
    assert answers.endswith(b"ok\n")


@pytest.mark.parametrize("path", ["/nothing", "/v2/", "/v1/models/", "/v2/models/a/b/c", "/v2/models//ready"])
def test_an_unknown_path_is_not_found_and_says_where_all_are(server: RunningServer, path: str) -> None:
    answer = ask(server.http, "GET", path)
    assert answer.status == 404
    assert "/openapi.json" in answer.error


@pytest.mark.parametrize(
    ("method", "path", "allowed"), [("POST", "/livez", "GET"), ("GET", INFER, "POST"), ("DELETE", "/v1/models", "GET")]
)
def test_a_method_that_a_path_does_not_have_is_told_which_it_has(
    server: RunningServer, method: str, path: str, allowed: str
) -> None:
    answer = ask(server.http, method, path)
    assert (answer.status, answer.headers["allow"]) == (405, allowed)


def test_head_is_get_without_the_body(server: RunningServer) -> None:
    head, get = (ask(server.http, method, "/v2") for method in ("HEAD", "GET"))
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == get.headers["content-length"]


def test_names_in_paths_are_decoded(server: RunningServer) -> None:
    assert ask(server.http, "GET", "/v2/models/sha%70es").json["name"] == "shapes"
    assert "no model 'a/b'" in ask(server.http, "GET", "/v2/models/a%2Fb").error
