"""Puts the parts of a serving process together, starts them, and stops them without losing a request.

Start: both ports open at once, NOT_SERVING; the bundles load; then SERVING. One of several processes loads first and listens then: the
kernel spreads connections over all that listen. Stop, on SIGTERM or Ctrl-C: NOT_SERVING, a grace while load balancers notice, no new
calls, finish what was admitted, exit 0. A second signal stops at once.
"""

import asyncio
import logging
import signal
import time
from collections.abc import Callable, Sequence
from typing import Protocol

import uvloop

from server import metrics_pages
from server.config import Settings, StartError
from server.events import Events
from server.families import Family
from server.metrics import Metrics
from server.serving.admission import Admission
from server.serving.models import ServedModel
from server.serving.readiness import Readiness
from server.serving.service import Models, Serving
from server.serving.workers import Workers
from server.signals import first_signal, signal_or_failure
from server.tally import Tally
from server.transport import grpc_server, http
from server.transport.calls import Calls
from server.transport.classifier import ImageClassifier
from server.transport.grpc_streams import Streams
from server.transport.health import Health
from server.transport.v2.grpc_service import InferenceService
from server.transport.v2.inference import OpenInference

log = logging.getLogger(__name__)

# When all calls are answered, engines end at once; this much they get even after a drain that took all of its time.
_LEAST_CLOSE_SECONDS = 1.0


class Store(Models, Protocol):
    """The models of a process; `serving.repository.Repository` is the one that has engines of its own."""

    async def load_all(self) -> None:
        """Brings every bundle into service or refuses it."""

    async def close(self) -> None:
        """Finishes what is in work."""

    def served(self) -> Sequence[ServedModel]:
        """The versions in service."""
        ...

    def is_serving(self, name: str) -> bool:
        """Whether some version of the model is in service."""
        ...


MakeStore = Callable[[Settings, Events, Callable[[], float]], Store]


class Siblings(Protocol):
    """The processes of a server of several, this one among them."""

    async def prepare(self, store: Store) -> None:
        """Makes a store that has just loaded like those of the others."""

    async def ready(self, models: Sequence[str]) -> None:
        """This process listens, and serves `models`."""

    async def families(self) -> list[Family]:
        """The metrics of all."""
        ...

    def everywhere(self, store: Store) -> Models:
        """`store`, but loading and unloading are done in all."""
        ...


def run(settings: Settings) -> None:
    """Serves in this process until a signal ends it. Raises StartError when it cannot begin to."""
    from server.serving.repository import Repository

    async def serve() -> None:
        await App(settings, Repository).serve()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())


class App:
    """One serving process. Create it inside a running event loop."""

    def __init__(self, settings: Settings, make_store: MakeStore, siblings: Siblings | None = None) -> None:
        self._settings = settings
        self._siblings = siblings
        clock = time.monotonic
        events = Events()
        tally = Tally()
        tally.subscribe(events)
        self._metrics = Metrics(tally, events)
        self.store = make_store(settings, events, clock)
        self._readiness = Readiness(lambda: bool(self.store.served()), str(settings.models))
        self._health = Health(events, self.store.is_serving, self._readiness)
        admission = Admission(
            settings.max_inflight_images,
            settings.max_inflight_bytes,
            shed_explanations_first=settings.shed_explanations_first,
        )
        self._workers = Workers(settings.decode_threads, clock)
        models = siblings.everywhere(self.store) if siblings else self.store
        self._serving = Serving(models, admission, self._workers, events, clock, settings.max_image_pixels)
        calls = Calls(events, self._serving.known)
        self._streams = Streams()
        classifier = ImageClassifier(self._serving, calls, self._streams, clock)
        inference = OpenInference(self._serving, calls, tally, lambda: not self._readiness.reason)
        service = InferenceService(inference, calls, self._streams, clock)
        self._grpc = grpc_server.build(
            classifier, service, self._health, settings.max_request_bytes, shared=siblings is not None
        )
        probes = http.Probes(self._page, lambda: self._readiness.reason)
        self._application = http.build(self._serving, inference, calls, probes, clock, settings.max_request_bytes)
        self._http = http.HttpServer(self._application)

    async def serve(self) -> None:
        """Starts, serves until SIGTERM or SIGINT, and stops in order. Raises StartError."""
        stop = first_signal()
        starting = asyncio.create_task(self._start())
        await self._drain(await signal_or_failure(stop, [starting]))
        self._health.close()
        self._streams.close()
        await self._finish(self._settings.drain_seconds)
        await self._http.stop()
        self._workers.close()
        log.info("stopped")

    async def _finish(self, seconds: float) -> None:
        """Finishes what was admitted, or gives it up when the time is over: an engine that hangs must not keep the process."""
        end = asyncio.get_running_loop().time() + seconds
        await asyncio.gather(self._grpc.stop(seconds), self._application.drain(seconds))
        try:
            async with asyncio.timeout_at(max(end, asyncio.get_running_loop().time() + _LEAST_CLOSE_SECONDS)):
                await self.store.close()
        except TimeoutError:
            log.error("engines had not finished after --drain-seconds %g; what they had is lost", seconds)

    async def families(self) -> list[Family]:
        """The metrics of this process."""
        return metrics_pages.plain(self._metrics.families(self._serving.inflight, self._queued()))

    async def _start(self) -> None:
        if self._siblings is None:
            addresses = await self._listen()
            names = await self._load()
            # The one line on standard output: scripts wait for it and read the ports from it.
            print(f"serving {addresses} models={','.join(names)}", flush=True)  # noqa: T201
        else:
            names = await self._load()
            await self._listen()
            await self._siblings.ready(names)

    async def _listen(self) -> str:
        """Takes both ports and calls; the addresses, as a line for people and scripts."""
        host = self._settings.host
        shown = f"[{host}]" if ":" in host else host
        port = self._settings.grpc_port
        try:
            grpc_port = self._grpc.add_insecure_port(f"{shown}:{port}")
            port = self._settings.http_port
            http_socket = http.bind(host, port, shared=self._siblings is not None)
        except (OSError, RuntimeError) as error:
            raise StartError.port_taken(shown, port, error) from error
        await self._http.start(http_socket)
        await self._health.update()
        await self._grpc.start()
        return f"grpc={shown}:{grpc_port} http={shown}:{http_socket.getsockname()[1]}"

    async def _load(self) -> list[str]:
        """Loads the bundles, then asks for traffic while one of them is good; the names of those that are."""
        await self.store.load_all()
        if self._siblings is not None:
            await self._siblings.prepare(self.store)
        self._readiness.loaded()
        await self._health.update()
        if reason := self._readiness.reason:
            log.error("not ready: %s", reason)
        return [f"{model.name}/{model.version}" for model in self.store.served()]

    async def _drain(self, received: signal.Signals) -> None:
        """Turns traffic away; load balancers get the grace to notice, a person at the keyboard does not wait for it."""
        log.info("%s: draining %d images", received.name, self._serving.inflight)
        self._readiness.draining()
        await self._health.drain()
        if received is signal.SIGTERM:
            await asyncio.sleep(self._settings.grace_seconds)

    async def _page(self) -> tuple[bytes, str]:
        if self._siblings is not None:
            return metrics_pages.page(await self._siblings.families())
        return self._metrics.page(self._serving.inflight, self._queued())

    def _queued(self) -> list[tuple[str, str, int]]:
        return [(model.name, str(model.version), model.batcher.queued) for model in self.store.served()]
