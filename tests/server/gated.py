"""The real service, over real gRPC where a test wants it, with an engine that the test holds and releases."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from bundle import manifest
from bundle.limits import Limits
from proto import classifier_pb2 as pb
from proto import classifier_pb2_grpc as rpc
from server.config import Security
from server.errors import ModelNotFoundError
from server.events import Events, ImagesFailed, ModelState, RequestDone
from server.metrics import Metrics
from server.serving.admission import Admission
from server.serving.jobs import ModelStatus, Version
from server.serving.models import ServedClassifier, ServedModel
from server.serving.readiness import Readiness
from server.serving.service import Serving
from server.serving.workers import Workers
from server.tally import Tally
from server.transport import grpc_server
from server.transport.calls import Calls
from server.transport.classifier import ImageClassifier
from server.transport.grpc_streams import Streams
from server.transport.health import Health
from server.transport.outbox import Outbox
from server.transport.security.access import Access
from server.transport.v2.grpc_service import InferenceService
from server.transport.v2.inference import OpenInference
from tests.bundles import make_bundle
from tests.server.fakes import GatedEngine, ManualClock, image_batcher

MODEL = "switch"
LABELS = ("off", "on")
HEIGHT, WIDTH = 6, 8


@dataclass(frozen=True)
class OneModel:
    """A repository of one model, version 1."""

    model: ServedModel

    def resolve(self, name: str, version: Version) -> ServedModel:
        self.status(name, version)
        return self.model

    def status(self, name: str, version: Version) -> ModelStatus:
        if name != MODEL or version not in (None, 1):
            raise ModelNotFoundError(f"no {name} {version}")
        return ModelStatus(MODEL, 1, ModelState.SERVING, "", is_default=True, running=self.model.running)

    def number(self, name: str, version: Version) -> int:
        return self.status(name, version).version

    def statuses(self) -> list[ModelStatus]:
        return [self.status(MODEL, 1)]

    def served(self) -> list[ServedModel]:
        return [self.model]

    async def load(self, name: str) -> None:
        self.status(name, None)

    async def unload(self, name: str) -> None:
        self.status(name, None)


@dataclass
class Gated:
    """What a test of the service holds in its hands."""

    serving: Serving
    engine: GatedEngine
    clock: ManualClock
    failures: list[ImagesFailed] = field(default_factory=list)
    calls: list[RequestDone] = field(default_factory=list)
    bus: Events = field(default_factory=Events)

    def outcomes(self) -> list[str]:
        """What became of the images that got no answer, in order."""
        return [event.outcome for event in self.failures]


@asynccontextmanager
async def gated_serving(folder: Path, max_images: int = 8, max_bytes: int = 1 << 20) -> AsyncIterator[Gated]:
    """A Serving of one model whose engine waits for the test."""
    spec = manifest.read_classifier(
        make_bundle(folder / "1", kind="binary", labels=LABELS, height=HEIGHT, width=WIDTH, colour="grey")
    )
    engine, clock, bus = GatedEngine(), ManualClock(), Events()
    batcher = image_batcher(engine, clock=clock)
    models = OneModel(ServedClassifier(MODEL, 1, engine, 0.0, "", spec, batcher))
    with closing(Workers(2, Limits(pixels=10_000), clock)) as workers:
        serving = Serving(models, Admission(max_images, max_bytes), workers, bus, clock)
        gated = Gated(serving, engine, clock, bus=bus)
        bus.subscribe(ImagesFailed, gated.failures.append)
        bus.subscribe(RequestDone, gated.calls.append)
        try:
            yield gated
        finally:
            engine.release(1000)
            await batcher.close()


def counting(events: Events) -> Tally:
    """A tally of what happens from now on."""
    tally = Tally()
    tally.subscribe(events)
    return tally


def metered() -> tuple[Events, Metrics]:
    """Metrics, and the events that they tell of."""
    events = Events()
    return events, Metrics(counting(events), events)


@asynccontextmanager
async def channel_to(gated: Gated) -> AsyncIterator[grpc.aio.Channel]:
    """A channel to the real gRPC server over `gated`, through a socket on this machine."""
    calls, outbox = Calls(gated.bus, gated.serving.known), Outbox(lambda _: None)
    streams = Streams(outbox)
    classifier = ImageClassifier(gated.serving, calls, streams, gated.clock)
    inference = OpenInference(gated.serving, calls, counting(gated.bus), lambda: True)
    access = Access(Security())
    inference_service = InferenceService(inference, calls, access, streams, gated.clock)
    health = Health(gated.bus, lambda _: True, Readiness(lambda: True, ""))
    server = grpc_server.build(
        *(classifier, inference_service, health, calls, access, 1 << 20),
        outbox=outbox,
        turn_away=gated.serving.turn_away,
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield channel
    finally:
        gated.engine.release(1000)
        await server.stop(None)


@asynccontextmanager
async def over_grpc(gated: Gated) -> AsyncIterator["rpc.ImageClassifierAsyncStub"]:
    """A stub of the real gRPC service over `gated`."""
    async with channel_to(gated) as channel:
        yield rpc.ImageClassifierStub(channel)


def raw_image(value: int = 0) -> pb.Image:
    """Pixels of the model's shape, all of one value."""
    return pb.Image(pixels=pb.RawPixels(height=HEIGHT, width=WIDTH, channels=1, data=bytes([value]) * (HEIGHT * WIDTH)))


def request(*values: int, request_id: str = "") -> pb.ClassifyRequest:
    """A request of one image for each value."""
    return pb.ClassifyRequest(model=MODEL, images=map(raw_image, values or (0,)), request_id=request_id)


async def until(condition: Callable[[], bool]) -> None:
    """Returns when `condition` holds; what happens on the other side of a socket cannot be awaited otherwise."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


async def until_admitted(gated: Gated) -> None:
    """Returns when the engine holds an image."""
    await asyncio.wait_for(gated.engine.entered(), 10)
