"""The HTTP port: what Prometheus and Kubernetes ask for.

/metrics  the Prometheus text format
/livez    200 while the process works
/readyz   200 while it wants traffic, otherwise 503 with the reason
"""

import contextlib
import socket
from collections.abc import Callable, Iterator

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route


def build(metrics: Callable[[], tuple[bytes, str]], not_ready: Callable[[], str]) -> Starlette:
    """The application; `metrics` gives page and content type, `not_ready` the reason against traffic or nothing."""

    async def metrics_page(_: Request) -> Response:
        page, content_type = metrics()
        return Response(page, headers={"content-type": content_type})

    async def livez(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(_: Request) -> Response:
        reason = not_ready()
        return PlainTextResponse(f"{reason or 'ok'}\n", 503 if reason else 200)

    return Starlette(routes=[Route("/metrics", metrics_page), Route("/livez", livez), Route("/readyz", readyz)])


class HttpServer(uvicorn.Server):
    """uvicorn inside our event loop, on a socket that is bound already, leaving the signals to the application."""

    def __init__(self, app: Starlette) -> None:
        super().__init__(uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off"))

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves the signal handlers alone."""
        yield


def bind(host: str, port: int) -> socket.socket:
    """A bound TCP socket; raises OSError when the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError:
        bound.close()
        raise
    return bound
