"""What is watched: a server with a model, over TLS, and callers who ask it steadily and wait for nobody."""

import asyncio
import contextlib
import json
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

import grpc
import numpy as np

from bench.server_process import RunningServer, serving
from proto import classifier_pb2 as pb
from proto import classifier_pb2_grpc as rpc
from tests.bundles import make_bundle
from tests.certificates import Authority
from tests.monitoring.observatory import Observatory

MODEL = "shapes"
HEIGHT, WIDTH = 12, 16
# Images of one call, and how long after the one before it is made.
IMAGES, PERIOD_SECONDS = 16, 0.2
DEADLINE_SECONDS = 30.0
CALM = {"slow": 0.0, "raise": 0.0, "hang": 0.0, "memory": 0.0}
# Version 1 answers, whatever else is there.
ROLES = "[labels]\nstable = 1\n"


def requests(brightest: int = 255) -> list[pb.ClassifyRequest]:
    """Calls of IMAGES noisy pictures each, no brighter than `brightest` (0..255)."""
    chance = np.random.default_rng(0)
    made = []
    for _ in range(20):
        noise = chance.integers(0, brightest, (IMAGES, HEIGHT, WIDTH, 3), np.uint8, endpoint=True)
        pixels = [pb.RawPixels(height=HEIGHT, width=WIDTH, channels=3, data=image.tobytes()) for image in noise]
        made.append(pb.ClassifyRequest(model=MODEL, images=[pb.Image(pixels=each) for each in pixels]))
    return made


@dataclass
class Traffic:
    """An open loop of calls. What is asked, and of whom, may change meanwhile."""

    credentials: grpc.ChannelCredentials
    address: str
    requests: list[pb.ClassifyRequest] = field(default_factory=requests)
    is_on: bool = True

    @contextmanager
    def flowing(self) -> Iterator[None]:
        """Calls from another thread until the block ends."""
        end = threading.Event()
        thread = threading.Thread(target=lambda: asyncio.run(self._flow(end)))
        thread.start()
        try:
            yield
        finally:
            end.set()
            thread.join()

    async def _flow(self, end: threading.Event) -> None:
        channels: dict[str, grpc.aio.Channel] = {}
        calls = set[asyncio.Task[None]]()
        made = 0
        while not end.is_set():
            if self.is_on:
                if self.address not in channels:
                    channels[self.address] = grpc.aio.secure_channel(self.address, self.credentials)
                asked = self.requests[made % len(self.requests)]
                calls.add(call := asyncio.create_task(_call(channels[self.address], asked)))
                call.add_done_callback(calls.discard)
                made += 1
            await asyncio.sleep(PERIOD_SECONDS)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        for channel in channels.values():
            await channel.close()


async def _call(channel: grpc.aio.Channel, asked: pb.ClassifyRequest) -> None:
    stub: rpc.ImageClassifierAsyncStub = rpc.ImageClassifierStub(channel)
    with contextlib.suppress(grpc.aio.AioRpcError):
        await stub.Classify(asked, timeout=DEADLINE_SECONDS)


@dataclass(frozen=True)
class Site:
    """A healthy server, its models and its callers."""

    folder: Path
    authority: Authority
    server: RunningServer
    observatory: Observatory
    traffic: Traffic
    log: TextIO

    @property
    def model(self) -> Path:
        """Where the versions are."""
        return self.folder / "models" / MODEL

    def roles(self, text: str) -> None:
        """Writes versions.toml, all at once."""
        beside = self.model / ".versions.toml"
        beside.write_text(text)
        beside.replace(self.model / "versions.toml")

    def certify(self, *, expired: bool) -> None:
        """Gives the server another certificate."""
        self.authority.issue("server", expired=expired).write(self.folder, "server")

    @contextmanager
    def replaced(self, *options: str, faults: Mapping[str, float] | None = None) -> Iterator[RunningServer]:
        """For the block another server is scraped and called; with `faults` the one of tests/chaos/server.py."""
        module = "server" if faults is None else "tests.chaos.server"
        environment = os.environ | {"SEED": "5", "FAULTS": json.dumps(CALM | dict(faults or {}))}
        started = serving(
            self.folder / "models",
            *_options(self.folder),
            *options,
            module=module,
            environment=environment,
            log=self.log,
        )
        with started as other:
            self._turn_to(other)
            yield other
            self._turn_to(self.server)

    def _turn_to(self, server: RunningServer) -> None:
        """Scraped before it is called: a counter begins with its first scrape."""
        self.observatory.targets(server.addresses["probes"])
        self.observatory.until_up(server.addresses["probes"])
        self.traffic.address = server.grpc


@contextmanager
def watched(folder: Path, observatory: Observatory) -> Iterator[Site]:
    """A site under observation."""
    make_bundle(folder / "models" / MODEL / "1")
    (folder / "models" / MODEL / "versions.toml").write_text(ROLES)
    authority = Authority("authority")
    authority.issue("server").write(folder, "server")
    credentials = grpc.ssl_channel_credentials(authority.pem)
    with (
        (folder / "servers.log").open("w") as log,
        serving(folder / "models", *_options(folder), log=log) as server,
    ):
        traffic = Traffic(credentials, server.grpc)
        site = Site(folder, authority, server, observatory, traffic, log)
        observatory.targets(server.addresses["probes"])
        observatory.until_up(server.addresses["probes"])
        with traffic.flowing():
            yield site


def _options(folder: Path) -> list[str]:
    tls = ["--tls-cert", str(folder / "server.pem"), "--tls-key", str(folder / "server.key"), "--probe-port", "0"]
    return [*tls, "--device", "cpu", "--engine", "onnxruntime", "--watch-seconds", "0.2"]
