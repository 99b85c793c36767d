"""What we read from headers: pure functions.

x-request-id      by custom; echoed
grpc-timeout      a deadline, as gRPC writes it ("500m" is 500 ms): HTTP has no header of its own for it, and gateways between
                  HTTP and gRPC, grpc-gateway among them, have settled on this one
accept, accept-encoding   RFC 9110
"""

import re
from collections.abc import Mapping

from server.errors import InvalidRequestError

REQUEST_ID_PATTERN = "^[!-~]{0,128}$"
_REQUEST_ID = re.compile(REQUEST_ID_PATTERN.encode())
# https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md: at most eight digits and a unit.
TIMEOUT_PATTERN = "^[0-9]{1,8}[HMSmun]$"
_TIMEOUT = re.compile(TIMEOUT_PATTERN.encode())
_SECONDS = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_CODINGS = (b"gzip", b"deflate")


def request_id(headers: Mapping[bytes, bytes]) -> str:
    """The caller's request id, empty without one. Raises InvalidRequestError when it cannot be echoed."""
    given = headers.get(b"x-request-id", b"")
    if _REQUEST_ID.fullmatch(given) is None:
        raise InvalidRequestError("x-request-id: at most 128 visible ASCII characters")
    return given.decode()


def timeout(headers: Mapping[bytes, bytes]) -> float | None:
    """The seconds of grpc-timeout. Raises InvalidRequestError when it is not one."""
    given = headers.get(b"grpc-timeout")
    if given is None:
        return None
    if _TIMEOUT.fullmatch(given) is None:
        raise InvalidRequestError(
            f"grpc-timeout: {given.decode('latin-1')!r}; write up to eight digits and a unit (H, M, S, m, u, n): "
            "500m is 500 milliseconds"
        )
    return int(given[:-1]) * _SECONDS[given[-1:]]


def coding(headers: Mapping[bytes, bytes]) -> bytes:
    """The first of gzip and deflate that the client takes (accept-encoding); empty when it takes neither."""
    taken = _accepted(headers.get(b"accept-encoding", b""))
    return next((each for each in _CODINGS if each in taken), b"")


def media_types(headers: Mapping[bytes, bytes]) -> set[bytes]:
    """The media ranges that the client accepts; any when it says nothing."""
    return _accepted(headers.get(b"accept") or b"*/*")


def _accepted(value: bytes) -> set[bytes]:
    """The elements of a list with weights, without those of weight 0."""
    accepted = set()
    for element in value.lower().split(b","):
        name, *parameters = (part.strip() for part in element.split(b";"))
        if not any(re.fullmatch(rb"q=0(\.0*)?", parameter) for parameter in parameters):
            accepted.add(name)
    return accepted
