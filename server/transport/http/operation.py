"""An operation is one method on one path: how it is answered, and everything that the OpenAPI document says of it.

Routes and document are made from the same list of these, so neither can drift from the other.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import msgspec

from server.transport.http.asgi import Headers, Scope
from server.transport.security.access import Need

JSON = "application/json"
PNG = "image/png"
OCTETS = "application/octet-stream"
TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Request:
    """A request whose body has been read. `received` and `deadline` are on the server's clock, in seconds."""

    path: Mapping[str, str]  # the values of the path's {parameters}
    query: bytes
    headers: Mapping[bytes, bytes]
    body: bytes
    id: str
    received: float
    deadline: float | None
    scope: Scope


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer. Only a `compressible` one is compressed for a client that takes it so."""

    body: bytes
    media: str = JSON
    status: HTTPStatus = HTTPStatus.OK
    headers: Headers = ()
    compressible: bool = False


# By media type, what a body is: the type that it is decoded into or encoded from, or a JSON Schema.
Media = Mapping[str, type | Mapping[str, Any]]
BYTES: Mapping[str, Any] = {}  # the schema of what is not JSON
Handler = Callable[[Request], Awaitable[Reply]]

# What any operation can end with, and what one can that asks something of a model.
ANY = (HTTPStatus.BAD_REQUEST, HTTPStatus.INTERNAL_SERVER_ERROR)
OF_A_MODEL = (*ANY, HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE)
OF_WORK = (
    *(*OF_A_MODEL, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE),
    *(HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.GATEWAY_TIMEOUT),
)


@dataclass(frozen=True)
class Operation:
    """One method on one path.

    `query` is the type of the query string. With `body` the request's body is read, and whoever leaves before the answer
    cancels it; `timed` operations obey the caller's deadline and answer with server-timing. Handlers count themselves.
    """

    id: str
    method: str
    path: str
    summary: str
    handle: Handler
    replies: Media
    refusals: tuple[HTTPStatus, ...] = ANY
    query: type[msgspec.Struct] | None = None
    body: Media | None = None
    body_required: bool = True
    timed: bool = False
    # 503 carries the answer, too: not yet.
    not_yet: bool = False
    # What callers must have, where the server asks for tokens; and the RPC that a refusal counts as, by default the id.
    need: Need = Need.TOKEN
    rpc: str = ""
