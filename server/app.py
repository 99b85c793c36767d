"""Puts the parts together, starts them, and stops them without losing a request.

Start: both ports open at once, NOT_SERVING; the bundles load; then SERVING. Stop, on SIGTERM or Ctrl-C: NOT_SERVING, a grace
while load balancers notice, no new calls, finish what was admitted, exit 0. A second signal stops at once.
"""

import asyncio
import logging
import os
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import uvloop

from server.config import Settings
from server.events import Events
from server.metrics import Metrics
from server.serving.admission import Admission
from server.serving.readiness import Readiness
from server.serving.repository import Repository
from server.serving.service import Serving
from server.transport import grpc_server, http
from server.transport.calls import Calls
from server.transport.classifier import ImageClassifier
from server.transport.grpc_streams import Streams
from server.transport.health import Health
from server.transport.v2.grpc_service import InferenceService
from server.transport.v2.inference import OpenInference

log = logging.getLogger(__name__)


class StartError(Exception):
    """The server cannot start; the message says why and what to do."""


def run(settings: Settings) -> None:
    """Serves until a signal ends it. Raises StartError when it cannot begin to."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(App(settings).serve())


class App:
    """One server process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._clock = time.monotonic
        events = Events()
        self._metrics = Metrics()
        events.subscribe(self._metrics.on_event)
        self._repository = Repository(settings, events, self._clock)
        self._readiness = Readiness(lambda: bool(self._repository.served()), str(settings.models))
        self._health = Health(events, self._repository.is_serving, self._readiness)
        admission = Admission(settings.max_inflight_images, settings.max_inflight_bytes)
        self._workers = ThreadPoolExecutor(settings.decode_threads, thread_name_prefix="decode")
        self._serving = Serving(
            self._repository, admission, self._workers, events, self._clock, settings.max_image_pixels
        )
        calls = Calls(events, self._serving.known)
        self._streams = Streams()
        self._classifier = ImageClassifier(self._serving, calls, self._streams, self._clock)
        inference = OpenInference(self._serving, calls, events, lambda: not self._readiness.reason)
        self._inference = InferenceService(inference, calls, self._streams, self._clock)
        probes = http.Probes(self._page, lambda: self._readiness.reason)
        self._http = http.build(self._serving, inference, calls, probes, self._clock, settings.max_request_bytes)

    async def serve(self) -> None:
        """Starts, serves until SIGTERM or SIGINT, and stops in order."""
        stop = _catch_signals()
        grpc_side = grpc_server.build(self._classifier, self._inference, self._health, self._settings.max_request_bytes)
        addresses, http_socket = self._bind(grpc_side)
        http_side = http.HttpServer(self._http)
        http_task = asyncio.create_task(http_side.serve([http_socket]))
        await self._health.update()
        await grpc_side.start()
        loading = asyncio.create_task(self._load(addresses))
        await self._drain(await stop)
        loading.cancel()
        self._health.close()
        self._streams.close()
        drain_seconds = self._settings.drain_seconds
        await asyncio.gather(grpc_side.stop(drain_seconds), self._http.drain(drain_seconds))
        await self._repository.close()
        http_side.should_exit = True
        await http_task
        self._workers.shutdown()
        log.info("stopped")

    def _bind(self, grpc_side: grpc.aio.Server) -> tuple[str, socket.socket]:
        """Takes both ports; the addresses as a line for people and scripts, and the HTTP socket."""
        host = self._settings.host
        shown = f"[{host}]" if ":" in host else host
        port = self._settings.grpc_port
        try:
            grpc_port = grpc_side.add_insecure_port(f"{shown}:{port}")
            port = self._settings.http_port
            http_socket = http.bind(host, port)
        except (OSError, RuntimeError) as error:
            raise StartError(
                f"cannot listen on {shown}:{port}: {error}; choose another port or stop who has it"
            ) from error
        return f"grpc={shown}:{grpc_port} http={shown}:{http_socket.getsockname()[1]}", http_socket

    async def _load(self, addresses: str) -> None:
        """Loads the bundles, then asks for traffic while one of them is good."""
        await self._repository.load_all()
        self._readiness.loaded()
        await self._health.update()
        if reason := self._readiness.reason:
            log.error("not ready: %s", reason)
        names = ",".join(f"{model.name}/{model.version}" for model in self._repository.served())
        # The one line on standard output: scripts wait for it and read the ports from it.
        print(f"serving {addresses} models={names}", flush=True)  # noqa: T201

    async def _drain(self, received: signal.Signals) -> None:
        """Turns traffic away; load balancers get the grace to notice, a person at the keyboard does not wait for it."""
        log.info("%s: draining %d images", received.name, self._serving.inflight)
        self._readiness.draining()
        await self._health.drain()
        if received is signal.SIGTERM:
            await asyncio.sleep(self._settings.grace_seconds)

    def _page(self) -> tuple[bytes, str]:
        served = self._repository.served()
        queued = [(model.name, str(model.version), model.batcher.queued) for model in served]
        return self._metrics.page(self._serving.inflight, queued)


def _catch_signals() -> asyncio.Future[signal.Signals]:
    """Resolves with the first SIGTERM or SIGINT; the second one ends the process."""
    loop = asyncio.get_running_loop()
    first: asyncio.Future[signal.Signals] = loop.create_future()

    def on_signal(number: signal.Signals) -> None:
        if first.done():
            log.warning("%s again: stopping at once", number.name)
            os._exit(128 + number)
        first.set_result(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    return first
