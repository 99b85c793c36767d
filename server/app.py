"""Puts the parts of a serving process together, starts them, and stops them without losing a request.

Start: both ports open at once, NOT_SERVING; the bundles load; then SERVING. One of several processes loads first and listens then: the
kernel spreads connections over all that listen. Stop, on SIGTERM or Ctrl-C: NOT_SERVING, a grace while load balancers notice, no new
calls, finish what was admitted, exit 0. A second signal stops at once.
"""

import asyncio
import logging
import signal
import socket
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

import uvloop

from bundle.limits import Limits
from server import metrics_pages
from server.config import Settings, StartError
from server.events import Events
from server.evidence.parts import Parts
from server.families import Family
from server.history import History, Reading, of_families, of_tally
from server.metrics import Metrics
from server.serving.admission import Admission
from server.serving.bundles import Bundles
from server.serving.readiness import Readiness
from server.serving.roles import Shadow
from server.serving.service import Models, Serving
from server.serving.shadow import Shadows
from server.serving.workers import Workers
from server.signals import first_signal, signal_or_failure
from server.tally import Tally
from server.transport import grpc_server, http
from server.transport.calls import Calls
from server.transport.classifier import ImageClassifier
from server.transport.grpc_streams import Streams
from server.transport.health import Health
from server.transport.outbox import Outbox
from server.transport.security.access import Access, Need
from server.transport.security.certificates import Certificates
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

    def is_serving(self, name: str) -> bool:
        """Whether some version of the model is in service."""
        ...

    def shadow(self, name: str) -> Shadow | None:
        """Which of a model's versions is tried in the shadow of which."""
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
        self._clock = clock = time.monotonic
        self._events = events = Events()
        self._tally = Tally()
        self._tally.subscribe(events)
        self._metrics = Metrics(self._tally, events)
        self._history = History(self._read_counters, settings.processes)
        self.store = make_store(settings, events, clock)
        self._readiness = Readiness(lambda: bool(self.store.served()), str(settings.models))
        self._health = Health(events, self.store.is_serving, self._readiness)
        admission = Admission(
            settings.max_inflight_images,
            settings.max_inflight_bytes,
            shed_explanations_first=settings.shed_explanations_first,
        )
        limits = Limits(settings.max_image_pixels, settings.bounds.image_formats, settings.bounds.decode_seconds)
        self._workers = Workers(settings.decode_threads, limits, clock)
        models = siblings.everywhere(self.store) if siblings else self.store
        self._evidence = Parts(settings.evidence, settings.processes, events, clock)
        observers = list(self._evidence.observers)
        self._shadows = Shadows(self.store, events, observers, self._workers, clock)
        self._serving = Serving(models, admission, self._workers, events, clock, observers)
        self._build_transport(Outbox(partial(admission.add, 0)))

    def _build_transport(self, outbox: Outbox) -> None:
        """Both protocols on both ports, not bound yet."""
        settings, security = self._settings, self._settings.security
        calls = Calls(self._events, self._serving.known, self._evidence.following)
        access = Access(security)
        self._certificates = Certificates(security, self._events) if security.tls_cert else None
        inference = OpenInference(self._serving, calls, self._tally, lambda: not self._readiness.reason)
        self._streams = Streams(outbox)
        classifier = ImageClassifier(self._serving, calls, self._streams, self._clock)
        service = InferenceService(inference, calls, access, self._streams, self._clock)
        self._grpc_port = settings.grpc_port
        self._grpc = grpc_server.build(
            *(classifier, service, self._health, calls, access, settings.max_request_bytes, settings.bounds),
            outbox=outbox,
            turn_away=self._serving.turn_away,
            shared=self._siblings is not None,
        )
        probes = http.Probes(
            self._page, lambda: self._readiness.reason, Need.TOKEN if security.metrics_need_token else Need.NOTHING
        )
        self._application = http.build(
            *(self._serving, inference, calls, access, probes, self._clock),
            *(settings.max_request_bytes, settings.bounds),
            more=self._operations_for_people(calls, inference),
        )
        connections = http.Connections(settings.bounds.max_connections)
        self._http = [("http", settings.http_port, http.HttpServer(self._application, self._certificates, connections))]
        if settings.probe_port is not None:
            plain = http.HttpServer(http.build_probes(probes, calls, access, self._clock))
            self._http.append(("probes", settings.probe_port, plain))

    def _operations_for_people(self, calls: Calls, inference: OpenInference) -> list[http.Operation]:
        """What no model is needed for: the page, and what it shows beside answers."""
        settings = self._settings
        bundles = Bundles(self.store, settings.models, settings.model_name)
        _, version, _ = inference.server_metadata()
        formats, most = settings.bounds.image_formats, self._serving.max_images
        server = http.V1Server(version, lambda: self._grpc_port, settings.max_request_bytes, most, formats)
        operations = [*http.V1Bundles(bundles, calls).operations(), *http.V1History(self._history).operations()]
        page = http.Page().operations() if settings.page else []
        return [*operations, *server.operations(), *page]

    async def serve(self) -> None:
        """Starts, serves until SIGTERM or SIGINT, and stops in order. Raises StartError."""
        stop = first_signal()
        starting = asyncio.create_task(self._start())
        noting = asyncio.create_task(self._history.keep())
        await self._drain(await signal_or_failure(stop, [starting]))
        noting.cancel()
        self._health.close()
        self._streams.close()
        drained_by = time.monotonic() + self._settings.drain_seconds
        await self._finish(drained_by)
        await asyncio.gather(*(server.stop() for _, _, server in self._http))
        self._workers.close()
        await self._evidence.close(drained_by - time.monotonic())
        log.info("stopped")

    async def _finish(self, drained_by: float) -> None:
        """Finishes what was admitted, or gives it up when the time is over: an engine that hangs must not keep the process."""
        seconds = max(0.0, drained_by - time.monotonic())
        await asyncio.gather(self._grpc.stop(seconds), self._application.drain(seconds))
        left = drained_by - time.monotonic()
        try:
            async with asyncio.timeout(max(left, _LEAST_CLOSE_SECONDS)):
                await self._shadows.close()
                await self.store.close()
        except TimeoutError:
            log.error("engines had not finished after --drain-seconds %g; what they had is lost", seconds)

    async def families(self) -> list[Family]:
        """The metrics of this process."""
        return metrics_pages.plain(self._metrics.families(*self._of_this_moment()))

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
        """Takes the ports and calls; the addresses, as a line for people and scripts."""
        host = self._settings.host
        shown = f"[{host}]" if ":" in host else host
        port = self._settings.grpc_port
        try:
            self._grpc_port = grpc_server.bind(self._grpc, f"{shown}:{port}", self._certificates)
            addresses = [f"grpc={shown}:{self._grpc_port}"]
            listening: list[tuple[http.HttpServer, socket.socket]] = []
            for name, port, server in self._http:
                bound = http.bind(host, port, shared=self._siblings is not None)
                listening.append((server, bound))
                addresses.append(f"{name}={shown}:{bound.getsockname()[1]}")
        except (OSError, RuntimeError) as error:
            raise StartError.port_taken(shown, port, error) from error
        for server, bound in listening:
            await server.start(bound)
        await self._health.update()
        await self._grpc.start()
        return " ".join(addresses)

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

    async def _read_counters(self) -> Reading:
        if self._siblings is not None:
            return of_families(await self._siblings.families())
        return of_tally(self._tally, self._serving.inflight)

    async def _page(self) -> tuple[bytes, str]:
        if self._siblings is not None:
            return metrics_pages.page(await self._siblings.families())
        return self._metrics.page(*self._of_this_moment())

    def _of_this_moment(self) -> tuple[int, list[tuple[str, str, int]]]:
        """Images in work, and those that wait for each version. A new certificate is told of, too, though nobody connects anew."""
        if self._certificates is not None:
            self._certificates.current()
        queued = [(model.name, str(model.version), model.batcher.queued) for model in self.store.served()]
        return self._serving.inflight, queued
