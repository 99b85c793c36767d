"""What a connection may take: how many there are, how long a client may keep the server waiting, how much may come at once.

uvicorn has a time limit for connections that idle between two requests, and none for a head that does not end, for an answer that
nobody reads, and for a client that connects and says nothing. Those are looked for from time to time, which costs the requests
nothing. Bodies have their own limit, in `body`, because their client can still be told.
"""

import asyncio
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

DEFAULT_MOST = 1000
DEFAULT_SECONDS = 20.0

# More than this of a request line and headers is nobody's honest request; the parser itself has no limit.
_MAX_HEAD_BYTES = 64 * 1024
_MOST_HEADERS = 200
# Requests that a client may send ahead of their answers; uvicorn keeps what came with one read.
_MOST_AHEAD = 16
_FULL = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class Connections:
    """The open connections of one port."""

    def __init__(self, most: int = DEFAULT_MOST, seconds: float = DEFAULT_SECONDS) -> None:
        """At most `most`; a client that owes the server something is dropped after `seconds`."""
        self._most = most
        self._seconds = seconds
        self._open: dict[BoundedProtocol, _Debt | None] = {}
        self._look: asyncio.TimerHandle | None = None

    def add(self, connection: "BoundedProtocol") -> bool:
        """Whether there is room for one more, which is kept then."""
        if len(self._open) >= self._most:
            return False
        self._open[connection] = None
        if self._look is None:
            self._again()
        return True

    def discard(self, connection: "BoundedProtocol") -> None:
        """A connection that has ended."""
        self._open.pop(connection, None)

    def _again(self) -> None:
        self._look = asyncio.get_running_loop().call_later(self._seconds / 10, self._drop_debtors)

    def _drop_debtors(self) -> None:
        now = asyncio.get_running_loop().time()
        for connection, before in list(self._open.items()):
            owed = connection.owed()
            if owed is None:
                self._open[connection] = None
            elif before is None or before.owed != owed:
                self._open[connection] = _Debt(owed, now)
            elif now - before.since >= self._seconds:
                connection.transport.abort()
        self._look = None
        if self._open:
            self._again()


class _Debt:
    """What a client owes, and since when."""

    __slots__ = ("owed", "since")

    def __init__(self, owed: tuple[object, ...], since: float) -> None:
        self.owed = owed
        self.since = since


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol, refusing what does not end and what is too much."""

    _head: object = None  # the request whose head has begun and not ended
    _head_bytes = 0  # what came of it, without the piece in which it began

    def __init__(self, *args: Any, connections: Connections, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._connections = connections

    def owed(self) -> tuple[object, ...] | None:
        """What the client keeps the server waiting for, equal as long as nothing comes of it; None when it owes nothing."""
        if self.transport.is_closing():
            return ("to close",)
        if self.flow.write_paused:
            return "to read", self.transport.get_write_buffer_size()
        if self.cycle is None or self.cycle.response_complete:
            return ("to ask", id(self.scope)) if self.timeout_keep_alive_task is None else None
        return None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn narrows it as well
        """Called by the event loop."""
        super().connection_made(transport)
        if not self._connections.add(self):
            transport.write(_FULL)
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop."""
        self._connections.discard(self)
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Called by the parser."""
        super().on_message_begin()
        self._head, self._head_bytes = self.scope, 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser."""
        if len(self.headers) >= _MOST_HEADERS:
            raise httptools.HttpParserError("too many headers")
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Called by the parser."""
        self._head = None
        if len(self.pipeline) >= _MOST_AHEAD:
            raise httptools.HttpParserError("too many requests ahead of their answers")
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        before = self._head
        super().data_received(data)
        if before is not None and self._head is before and not self.transport.is_closing():
            self._head_bytes += len(data)
            if self._head_bytes > _MAX_HEAD_BYTES:
                self.send_400_response("The headers are too large.")
