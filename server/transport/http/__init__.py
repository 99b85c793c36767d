"""The HTTP port: the Open Inference Protocol over HTTP, classification for people, and what Prometheus and Kubernetes ask for.

asgi         the types of ASGI
operation    what an operation is; routing finds it
application  from the wire to an operation and back, for as long as the caller waits
body, headers, query, multipart   reading what comes
replies      making what goes
v1           classification for people; its bodies in v1_bodies
v1_bundles   what the bundles in service keep: samples, report, golden check; its bodies in v1_bundles_bodies
v1_history   the last minutes of the metrics
v1_server    the server itself
page         the page for people, out of all that
v2           the Open Inference Protocol; its bodies in v2_bodies, their two forms in v2_wire
probes       metrics, livez, readyz
openapi      the document of all that
budget       memory for what is being read
connections  what a connection may take
listener     the socket, and uvicorn on it
"""

from collections.abc import Callable, Sequence

import msgspec

from server.config import Bounds
from server.serving.service import Serving
from server.transport.calls import Calls
from server.transport.http import openapi
from server.transport.http.application import Application
from server.transport.http.budget import Budget
from server.transport.http.connections import Connections
from server.transport.http.listener import HttpServer, bind
from server.transport.http.operation import JSON, Operation, Reply, Request
from server.transport.http.page import Page
from server.transport.http.probes import Probes
from server.transport.http.routing import Routes
from server.transport.http.v1 import V1
from server.transport.http.v1_bundles import V1Bundles
from server.transport.http.v1_history import V1History
from server.transport.http.v1_server import V1Server
from server.transport.http.v2 import V2
from server.transport.security.access import Access
from server.transport.v2.inference import OpenInference

__all__ = [
    "Connections",
    "HttpServer",
    "Operation",
    "Page",
    "Probes",
    "V1Bundles",
    "V1History",
    "V1Server",
    "bind",
    "build",
    "build_probes",
]

_DEFAULT_BOUNDS = Bounds()


def build(
    serving: Serving,
    inference: OpenInference,
    calls: Calls,
    access: Access,
    probes: Probes,
    clock: Callable[[], float],
    max_request_bytes: int,
    bounds: Bounds = _DEFAULT_BOUNDS,
    more: Sequence[Operation] = (),
) -> Application:
    """The application with all its operations, and the document that describes them at /openapi.json.

    `more` are those that need other parts of the server than inference does.
    """
    operations = [*V2(inference, calls, access).operations(), *V1(serving, calls).operations()]
    operations += [*probes.operations(), *more]

    async def describe(_: Request) -> Reply:
        return Reply(described)

    operations.append(
        Operation("openapi", "GET", "/openapi.json", "This document", describe, {JSON: {"type": "object"}})
    )
    _, version, _ = inference.server_metadata()
    described = msgspec.json.encode(openapi.document(operations, version, access.asks))
    budget = Budget(bounds.max_reading_bytes)
    return Application(Routes(operations), calls, access, clock, max_request_bytes, budget)


def build_probes(probes: Probes, calls: Calls, access: Access, clock: Callable[[], float]) -> Application:
    """The application of a port that is for everyone: what needs a token is not there at all."""
    operations = [each for each in probes.operations() if not access.asks(each.need)]
    return Application(Routes(operations), calls, access, clock, max_request_bytes=0, budget=Budget(0))
