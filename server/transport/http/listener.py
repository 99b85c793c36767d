"""The socket and uvicorn, which speaks HTTP/1.1 on it with httptools, inside our event loop."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from server.transport.http.application import Application

# More than this of a request line and headers is nobody's honest request; the parser itself has no limit.
_MAX_HEAD_BYTES = 64 * 1024
# Pooled clients keep connections about a minute; one that is closed under them costs a retry.
_KEEP_ALIVE_SECONDS = 75
# For clients that do not read their answer, once everything has been answered.
_CLOSE_SECONDS = 5


class HttpServer(uvicorn.Server):
    """uvicorn on a socket that is bound already, leaving the signals to the application."""

    def __init__(self, app: Application) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=_BoundedHead,
                ws="none",
                lifespan="off",
                interface="asgi3",
                log_level="warning",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=_CLOSE_SECONDS,
            )
        )
        self._listening = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    async def start(self, bound: socket.socket) -> None:
        """Serves on a socket of `bind`; returns when it listens."""
        self._running = asyncio.create_task(self.serve([bound]))
        self._running.add_done_callback(lambda _: self._listening.set())
        await self._listening.wait()
        if self._running.done():
            await self._running  # it failed

    async def stop(self) -> None:
        """Closes the connections that are left, if it was started."""
        self.should_exit = True
        if self._running is not None:
            await self._running

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Called by uvicorn."""
        await super().startup(sockets)
        self._listening.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves the signal handlers alone."""
        yield


class _BoundedHead(HttpToolsProtocol):
    """Refuses a request whose head does not end."""

    _open: object = None  # the request whose head has begun and not ended
    _open_bytes = 0  # what came of it, without the piece in which it began

    def on_message_begin(self) -> None:
        """Called by the parser."""
        super().on_message_begin()
        self._open, self._open_bytes = self.scope, 0

    def on_headers_complete(self) -> None:
        """Called by the parser."""
        self._open = None
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        before = self._open
        super().data_received(data)
        if before is not None and self._open is before and not self.transport.is_closing():
            self._open_bytes += len(data)
            if self._open_bytes > _MAX_HEAD_BYTES:
                self.send_400_response("The headers are too large.")


def bind(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """A bound TCP socket; `shared` with the other processes of this server. Raises OSError when the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        if shared:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind((host, port))
    except OSError:
        bound.close()
        raise
    return bound
