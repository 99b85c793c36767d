"""A version tried in the shadow of another: it computes a part of the same pictures, and is compared, never answered.

It must not be in anybody's way. Pictures are compared one after the other, so the shadow has one run in the engines at most; a picture
is dropped when too many wait to be compared, or when real ones wait for either engine. What is dropped is counted, so that the figures
can be judged. Nothing is looked at while no model has a shadow.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from typing import Literal, Protocol

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from bundle import preprocess
from bundle.errors import PictureError
from bundle.manifest import Manifest
from server.batching.items import ImageItem
from server.batching.policy import Priority
from server.errors import ServerError, UnavailableError
from server.events import Events, RolesChanged, ShadowRan
from server.serving import parts
from server.serving.jobs import Version
from server.serving.models import ServedClassifier, ServedModel, ServedTensors
from server.serving.observers import Observed, Observer
from server.serving.pixels import cut
from server.serving.roles import Shadow
from server.serving.workers import Workers

log = logging.getLogger(__name__)

# Requests that wait to be compared, of all models together: each holds its pictures in memory.
_MOST_WAITING = 8
# Of one request, so many images at most are compared.
_MOST_IMAGES = 32
# A shadow that fails, fails often: it is told of once in so many seconds.
_SECONDS_BETWEEN_WARNINGS = 60.0
# From here on a class of a multilabel model counts as there.
_PRESENT = 0.5

Pixels = NDArray[np.uint8]


class Versions(Protocol):
    """Where the shadow finds versions; `catalogue.Catalogue` is the real one."""

    def resolve(self, name: str, version: Version) -> ServedModel:
        """The version in service; raises ModelNotFoundError or UnavailableError."""
        ...

    def number(self, name: str, version: Version) -> int:
        """The number of a version; raises ModelNotFoundError."""
        ...

    def shadow(self, name: str) -> Shadow | None:
        """Which of a model's versions is tried in the shadow of which."""
        ...


class IncomparableError(Exception):
    """Two versions cannot be compared, on this picture or at all; the message says why."""


class _Sample(Struct, frozen=True):
    """Pictures to compare, of one request, in the form that the shadow takes or as the file that they came in."""

    of: ServedClassifier
    target: ServedClassifier
    pictures: Pixels | bytes
    answered: NDArray[np.float32]  # [n, K]


class Shadows:
    """Those of all models of this process. It puts itself among `observers` while some model has a shadow."""

    def __init__(
        self,
        versions: Versions,
        events: Events,
        observers: list[Observer],
        workers: Workers,
        clock: Callable[[], float],
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`clock` gives seconds, `chance` a number 0 <= x < 1."""
        self._versions = versions
        self._events = events
        self._observers = observers
        self._workers = workers
        self._clock = clock
        self._chance = chance
        self._with_shadow: set[str] = set()  # models
        self._samples: asyncio.Queue[_Sample] = asyncio.Queue(_MOST_WAITING)
        self._comparing: asyncio.Task[None] | None = None
        self._quiet_until = 0.0
        events.subscribe(RolesChanged, self._roles_changed)

    def observe(self, seen: Observed) -> None:
        """Takes a part of what was asked of the version whose shadow there is, to compare it soon."""
        name = seen.model.name
        shadow = self._versions.shadow(name)
        if shadow is None or self._chance() >= shadow.share:
            return
        try:
            of, target = self._versions.number(name, shadow.of), self._versions.resolve(name, shadow.version)
        except ServerError:
            return  # not in service yet; its state tells why
        if seen.model.version != of or target.version == of or isinstance(target, ServedTensors):
            return
        rows = slice(_MOST_IMAGES)
        sample = _Sample(seen.model, target, _pictures(seen, target), seen.probabilities[rows])
        try:
            self._samples.put_nowait(sample)
        except asyncio.QueueFull:
            self._tell("dropped", sample)

    async def close(self) -> None:
        """Ends the comparing; what waits is forgotten."""
        if self._comparing is not None:
            self._comparing.cancel()
            await asyncio.wait([self._comparing])

    def _roles_changed(self, event: RolesChanged) -> None:
        if event.has_shadow:
            self._with_shadow.add(event.model)
        else:
            self._with_shadow.discard(event.model)
        is_observing = self.observe in self._observers
        if self._with_shadow and not is_observing:
            self._observers.append(self.observe)
            if self._comparing is None:
                self._comparing = asyncio.get_running_loop().create_task(self._compare_all())
        elif is_observing and not self._with_shadow:
            self._observers.remove(self.observe)

    async def _compare_all(self) -> None:
        while True:
            sample = await self._samples.get()
            try:
                await self._compare(sample)
            except UnavailableError:
                self._tell("dropped", sample)
            except (ServerError, IncomparableError, PictureError) as error:
                self._tell("failed", sample)
                self._warn(
                    f"{sample.of.name} version {sample.target.version} in the shadow of {sample.of.version}: {error}"
                )
            except Exception:
                self._tell("failed", sample)
                log.exception("the shadow of %s version %d failed", sample.of.name, sample.of.version)

    async def _compare(self, sample: _Sample) -> None:
        of, target = sample.of, sample.target
        if _is_wanted(of) or _is_wanted(target):
            self._tell("dropped", sample)
            return
        with target.users:
            pixels = await self._pixels(sample)
            item = ImageItem(pixels, np.empty((len(pixels), 0), np.int64), 0)
            items = cut(item, target.batcher.max_batch)
            outputs = await parts.submitted(target.batcher, items, None, Priority.LOW)
        results = [each.result for each in outputs]
        found = np.concatenate([result.probabilities for result in results])
        found = aligned(found, target.manifest.labels, of.manifest.labels)
        differences = np.abs(found - sample.answered).max(axis=1).tolist()
        differ = _decision(found, target.manifest) != _decision(sample.answered, target.manifest)
        self._tell("compared", sample, int(differ.any(axis=1).sum()), differences)

    async def _pixels(self, sample: _Sample) -> Pixels:
        """The pictures as the shadow takes them, [n, H, W, C]. Raises IncomparableError, PictureError."""
        pictures, manifest = sample.pictures, sample.target.manifest
        if isinstance(pictures, bytes):
            spec = manifest.preprocess
            decoded = await self._workers.run(lambda limits: preprocess.from_bytes(pictures, spec, limits))
            return decoded.pixels[np.newaxis]
        if pictures.shape[1:] != manifest.input_shape:
            raise IncomparableError(
                f"it takes pixels {list(manifest.input_shape)}, these came as {list(pictures.shape[1:])}"
            )
        return pictures

    def _tell(
        self,
        outcome: Literal["compared", "dropped", "failed"],
        sample: _Sample,
        disagreements: int = 0,
        differences: Sequence[float] = (),
    ) -> None:
        of, version, images = sample.of, sample.target.number, len(sample.answered)
        self._events.emit(ShadowRan(of.name, version, of.number, outcome, images, disagreements, differences))

    def _warn(self, text: str) -> None:
        if (now := self._clock()) >= self._quiet_until:
            self._quiet_until = now + _SECONDS_BETWEEN_WARNINGS
            log.warning("%s", text)


def _pictures(seen: Observed, target: ServedClassifier) -> Pixels | bytes:
    """No more than is needed, because it is kept: the file only where the shadow makes other pixels of it."""
    if seen.encoded is not None and seen.model.manifest.preprocess != target.manifest.preprocess:
        return seen.encoded
    if len(seen.pixels) == 1:
        return seen.pixels
    return seen.pixels[:_MOST_IMAGES].copy()  # not a view on a message of many more


def aligned(probabilities: NDArray[np.float32], labels: Sequence[str], wanted: Sequence[str]) -> NDArray[np.float32]:
    """Probabilities [n, K] in the order of `wanted`, which are the same labels. Raises IncomparableError when they are not."""
    if list(labels) == list(wanted):
        return probabilities
    if set(labels) != set(wanted):
        raise IncomparableError(f"its classes are others: {', '.join(sorted(set(labels) ^ set(wanted)))[:200]}")
    at = {label: index for index, label in enumerate(labels)}
    return probabilities[:, [at[label] for label in wanted]]


def _decision(probabilities: NDArray[np.float32], manifest: Manifest) -> NDArray[np.generic]:
    """What an answer says, [n, any]: the most probable class, or of a multilabel model those that are there."""
    if manifest.kind == "multilabel":
        present: NDArray[np.generic] = probabilities >= _PRESENT
        return present
    most_probable: NDArray[np.generic] = probabilities.argmax(axis=1, keepdims=True)
    return most_probable


def _is_wanted(model: ServedClassifier) -> bool:
    """Whether real pictures wait for its engine: more than half of what it takes in one run."""
    return 2 * model.batcher.queued > model.batcher.max_batch
