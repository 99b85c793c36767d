"""Callers that follow the Service's endpoints, as clients behind a headless Service follow DNS."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from client import Client
from client.convert import ImageInput
from client.errors import ClassifyError
from tests.k8s.cluster.site import MODEL, Pod

_LOOK_SECONDS = 0.5  # how old what a caller knows of the endpoints may be


@dataclass
class Callers:
    """`count` threads, each of which asks about `images` in one call after the other, for the block.

    `ends` counts the calls by how they ended, OK or the error; a call is tried again `retries` times before it counts as an error.
    """

    pods: Callable[[], Sequence[Pod]]
    images: Sequence[ImageInput]
    count: int = 4
    retries: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    slowest_seconds: float = 0.0
    _addresses: str = ""
    _over: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._addresses = self._look()
        self._threads = [threading.Thread(target=work) for work in (self._follow, *[self._ask] * self.count)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def wait_for_more(self, calls: int) -> None:
        """Until that many more calls have ended."""
        enough = self.ends.total() + calls
        while self.ends.total() < enough:
            time.sleep(0.05)

    def _look(self) -> str:
        return "ipv4:" + ",".join(pod.grpc for pod in self.pods())

    def _follow(self) -> None:
        while not self._over.wait(_LOOK_SECONDS):
            # While there is nobody, a client goes on with those it knows.
            self._addresses = self._look() if self.pods() else self._addresses

    def _ask(self) -> None:
        while not self._over.is_set():
            known = self._addresses
            with Client(known, timeout=60, retries=self.retries) as client:
                while known == self._addresses and not self._over.is_set():
                    self._call(client)

    def _call(self, client: Client) -> None:
        began = time.monotonic()
        try:
            answers = client.classify(self.images, MODEL).results
            self.ends["OK" if all(each.ok for each in answers) else str(answers[0].error)] += 1
        except ClassifyError as error:
            self.ends[str(error)] += 1
        self.slowest_seconds = max(self.slowest_seconds, time.monotonic() - began)
