"""grpc.health.v1: the whole server under "", each service under its name, and each model under its own name.

Kubernetes probes, Envoy and gRPC clients read it; Watch streams every change.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import grpc
from grpc_health.v1 import health_pb2
from grpc_health.v1.health import aio

from server.events import Events, ModelChanged
from server.serving.readiness import Readiness

SERVICES = ("seethrough.v1.ImageClassifier", "inference.GRPCInferenceService")
_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class _EndingWatch(aio.HealthServicer):
    """The health service with watches that end when the server does: one that is left open would hold up its drain."""

    def __init__(self) -> None:
        super().__init__()
        self.closing = asyncio.Event()

    async def Watch(self, request: health_pb2.HealthCheckRequest, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        """Sends every change of the status until the caller or the server leaves."""
        watch = asyncio.ensure_future(super().Watch(request, context))
        closing = asyncio.ensure_future(self.closing.wait())
        try:
            await asyncio.wait([watch, closing], return_when=asyncio.FIRST_COMPLETED)
        finally:
            watch.cancel()
            closing.cancel()


class Health:
    """Keeps the health service true to the models' states."""

    def __init__(self, events: Events, is_serving: Callable[[str], bool], readiness: Readiness) -> None:
        """`is_serving` tells whether some version of a model is in service."""
        self.servicer = _EndingWatch()
        self._is_serving = is_serving
        self._readiness = readiness
        self._tasks: set[asyncio.Task[None]] = set()
        events.subscribe(ModelChanged, self._changed)

    async def update(self) -> None:
        """States whether the server as a whole wants traffic."""
        for name in ("", *SERVICES):
            await self.servicer.set(name, _NOT_SERVING if self._readiness.reason else _SERVING)

    async def drain(self) -> None:
        """Everything NOT_SERVING from now on."""
        await self.servicer.enter_graceful_shutdown()

    def close(self) -> None:
        """Ends the watches, whose callers have seen NOT_SERVING by now."""
        self.servicer.closing.set()

    def _changed(self, event: ModelChanged) -> None:
        task = asyncio.get_running_loop().create_task(self._update_model(event.model))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _update_model(self, name: str) -> None:
        await self.servicer.set(name, _SERVING if self._is_serving(name) else _NOT_SERVING)
        await self.update()
