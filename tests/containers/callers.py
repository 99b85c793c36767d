"""Callers that behave as load balancers make clients behave: they call until the server says that it wants no more calls."""

import threading
from collections import Counter
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from client import Client
from client.convert import ImageInput
from client.errors import ClassifyError


@dataclass
class Callers:
    """`count` threads that ask `model` on the server at `target` about `image`, one call after the other, for the block.

    No call is repeated, so that a lost one shows: `ends` counts the calls by how they ended, OK or the error.
    """

    target: str
    model: str
    image: ImageInput
    count: int = 8
    ends: Counter[str] = field(default_factory=Counter)
    unwanted: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Self:
        works = [self._watch, *[self._call] * self.count]
        self._threads = [threading.Thread(target=work) for work in works]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error:
            self.unwanted.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, calls: int) -> None:
        """Until that many calls have ended."""
        while self.ends.total() < calls and not self.unwanted.wait(0.05):
            pass

    def _watch(self) -> None:
        with grpc.insecure_channel(self.target) as channel:
            watch = health_pb2_grpc.HealthStub(channel).Watch  # type: ignore[attr-defined]  # missing in the types
            changes = watch(health_pb2.HealthCheckRequest())
            for change in changes:
                if change.status != health_pb2.HealthCheckResponse.SERVING or self.unwanted.is_set():
                    break
        self.unwanted.set()

    def _call(self) -> None:
        with Client(self.target, retries=0) as client:
            while not self.unwanted.is_set():
                try:
                    (result,) = client.classify([self.image], self.model).results
                    self.ends["OK" if result.predictions else str(result.error)] += 1
                except ClassifyError as error:
                    self.ends[str(error)] += 1
