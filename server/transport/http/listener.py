"""The socket and uvicorn, which speaks HTTP/1.1 on it with httptools, plain or in TLS, inside our event loop."""

import asyncio
import contextlib
import functools
import socket
from collections.abc import Iterator

import uvicorn

from server.transport.http.application import Application
from server.transport.http.connections import BoundedProtocol, Connections
from server.transport.security.certificates import Certificates
from server.transport.security.http_guard import CurrentContext, extensions

# Pooled clients keep connections about a minute; one that is closed under them costs a retry.
_KEEP_ALIVE_SECONDS = 75
# For clients that do not read their answer, once everything has been answered.
_CLOSE_SECONDS = 5


class HttpServer(uvicorn.Server):
    """uvicorn on a socket that is bound already, leaving the signals to the application."""

    def __init__(
        self, app: Application, certificates: Certificates | None = None, connections: Connections | None = None
    ) -> None:
        """With `certificates` it speaks TLS; `connections` are bounded by default, too."""
        secure = None if certificates is None else CurrentContext.of(certificates)
        super().__init__(
            uvicorn.Config(
                app,
                http=functools.partial(_Protocol, connections=connections or Connections()),  # type: ignore[arg-type]  # it makes one
                ws="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,  # its lines are lines of our log
                log_level="error",  # what callers do wrong is for them to know
                access_log=False,
                server_header=False,
                proxy_headers=False,
                ssl_context_factory=None if secure is None else lambda *_: secure,
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


class _Protocol(BoundedProtocol):
    """Tells who the client is."""

    _extensions: dict[str, dict[object, object]]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Called by the event loop."""
        super().connection_made(transport)
        self._extensions = extensions(transport.get_extra_info("ssl_object"))

    def on_message_begin(self) -> None:
        """Called by the parser."""
        super().on_message_begin()
        self.scope["extensions"] = self._extensions


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
