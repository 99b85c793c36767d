"""The types of ASGI (asgi.readthedocs.io, HTTP version 2.3), which has none of its own, and the two ways a call can end early."""

from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = tuple[tuple[bytes, bytes], ...]


class HttpError(Exception):
    """A mistake that only HTTP knows, such as an unknown path or a body over the limit; the others are in server.errors."""

    def __init__(self, status: HTTPStatus, message: str, headers: Headers = ()) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers


class ClientGoneError(Exception):
    """The client closed the connection: nobody is left to answer."""
