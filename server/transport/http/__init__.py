"""The HTTP port: the Open Inference Protocol over HTTP, classification for people, and what Prometheus and Kubernetes ask for.

asgi         the types of ASGI
operation    what an operation is; routing finds it
application  from the wire to an operation and back, for as long as the caller waits
body, headers, query, multipart   reading what comes
replies      making what goes
v1           classification for people; its bodies in v1_bodies
v2           the Open Inference Protocol; its bodies in v2_bodies, their two forms in v2_wire
probes       metrics, livez, readyz
openapi      the document of all that
listener     the socket, and uvicorn on it
"""

from collections.abc import Callable

import msgspec

from server.serving.service import Serving
from server.transport.calls import Calls
from server.transport.http import openapi
from server.transport.http.application import Application
from server.transport.http.listener import HttpServer, bind
from server.transport.http.operation import JSON, Operation, Reply, Request
from server.transport.http.probes import Probes
from server.transport.http.routing import Routes
from server.transport.http.v1 import V1
from server.transport.http.v2 import V2
from server.transport.v2.inference import OpenInference

__all__ = ["HttpServer", "Probes", "bind", "build"]


def build(
    serving: Serving,
    inference: OpenInference,
    calls: Calls,
    probes: Probes,
    clock: Callable[[], float],
    max_request_bytes: int,
) -> Application:
    """The application with all its operations, and the document that describes them at /openapi.json."""
    operations = [*V2(inference, calls).operations(), *V1(serving, calls).operations(), *probes.operations()]

    async def describe(_: Request) -> Reply:
        return Reply(described)

    operations.append(
        Operation("openapi", "GET", "/openapi.json", "This document", describe, {JSON: {"type": "object"}})
    )
    _, version, _ = inference.server_metadata()
    described = msgspec.json.encode(openapi.document(operations, version))
    return Application(Routes(operations), calls, clock, max_request_bytes)
