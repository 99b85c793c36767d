"""Making answers: JSON, errors, and their compressed form."""

import asyncio
import gzip
import math
import zlib
from http import HTTPStatus

import msgspec

from server.errors import OverloadedError, ServerError, UnauthenticatedError
from server.transport.http.asgi import Headers, HttpError
from server.transport.http.operation import Reply
from server.transport.status import http_status, message

# Below this, a packet is saved at best.
_LEAST_COMPRESSED_BYTES = 1024
_LEVEL = 1  # pictures and heatmaps hardly shrink by more work

_encode = msgspec.json.Encoder().encode


class Problem(msgspec.Struct):
    """Why there is no answer: what was wrong, which value, what to do."""

    error: str


def json(
    value: object, status: HTTPStatus = HTTPStatus.OK, headers: Headers = (), *, compressible: bool = False
) -> Reply:
    """`value` as JSON."""
    return Reply(_encode(value), status=status, headers=headers, compressible=compressible)


def refusal(error: HttpError | ServerError, request_id: str) -> Reply:
    """What a caller is told of an error."""
    if isinstance(error, HttpError):
        return json(Problem(str(error)), error.status, error.headers)
    headers: Headers = ()
    if isinstance(error, OverloadedError):
        # Whole seconds are all that the header can say.
        headers = ((b"retry-after", str(math.ceil(error.retry_after_seconds)).encode()),)
    elif isinstance(error, UnauthenticatedError):
        headers = ((b"www-authenticate", b"Bearer"),)
    return json(Problem(message(error, request_id)), http_status(error), headers)


async def compressed(reply: Reply, coding: bytes) -> Reply:
    """The reply in a content coding that the client takes, gzip or deflate, if it is worth it."""
    if not coding or not reply.compressible or len(reply.body) < _LEAST_COMPRESSED_BYTES:
        return reply
    pack = gzip.compress if coding == b"gzip" else zlib.compress
    body = await asyncio.to_thread(pack, reply.body, _LEVEL)
    headers = (*reply.headers, (b"content-encoding", coding), (b"vary", b"accept-encoding"))
    return Reply(body, reply.media, reply.status, headers)
