"""The engine process, seen from a serving process: models whose queues are in another process.

Everything above the queue is as with an engine of one's own: the same `submit`, the same errors, the same cancelling. When the engine
process ends, what it had fails as unavailable, its models are out of service, and come back with the next one.
"""

import asyncio
import itertools
import logging
import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic

import msgspec

from bundle.manifest import Manifest, TensorManifest
from server.batching.entries import Output
from server.batching.items import ImageItem, ImageResult, TensorItem, most_probable
from server.batching.policy import Priority
from server.config import Settings
from server.engine.base import Array
from server.errors import DeadlineError, InternalError, OverloadedError, ServerError, UnavailableError
from server.events import Events, ModelState
from server.processes import messages, slab
from server.processes.messages import (
    Cancel,
    Channel,
    Done,
    Failed,
    FromEngine,
    Hello,
    Model,
    Open,
    Release,
    Submit,
    SubmitRows,
    Sync,
    Synced,
)
from server.processes.slab import Regions
from server.serving.catalogue import SERVED, Catalogue, Entry, NotServed
from server.serving.models import R, ServedClassifier, ServedModel, ServedTensors

log = logging.getLogger(__name__)

_KINDS: tuple[type[ServerError], ...] = (DeadlineError, InternalError, UnavailableError)
_ERRORS = {each.__name__: each for each in _KINDS}
_GONE = "the engine process ended and is being started again; try again"
_RETRY_SECONDS = 0.01


@dataclass(frozen=True)
class _Runtime:
    name: str
    precision: str
    device: str


@dataclass(frozen=True)
class _Call(Generic[R]):
    answer: "asyncio.Future[Output[R]]"
    read: Callable[[Done], R]
    release: Callable[[], None]


def _error(message: Failed) -> ServerError:
    if message.kind == OverloadedError.__name__:
        return OverloadedError(message.message, _RETRY_SECONDS)
    return _ERRORS[message.kind](message.message)


class Connection:
    """One stream to the engine process, and what is open on it."""

    def __init__(self, on_catalogue: Callable[["Connection", messages.Catalogue], None]) -> None:
        self.channel: Channel[FromEngine] = Channel(FromEngine, self._take, self._lose)
        self.regions = Regions()  # of this process's memory
        self.lost = asyncio.Event()
        self._on_catalogue = on_catalogue
        self._calls: dict[int, _Call[Any]] = {}
        self._syncs: dict[int, asyncio.Future[None]] = {}
        self._numbers = itertools.count(1)

    async def call(
        self, message: Callable[[int], msgspec.Struct], read: Callable[[Done], R], release: Callable[[], None]
    ) -> Output[R]:
        """Sends `message` of a call's number; `read` takes the result out of the answer, and then `release` is called."""
        if self.lost.is_set():
            release()
            raise UnavailableError(_GONE)
        number = next(self._numbers)
        answer: asyncio.Future[Output[R]] = asyncio.get_running_loop().create_future()
        self._calls[number] = _Call(answer, read, release)
        self.channel.send(message(number))
        try:
            return await answer
        except asyncio.CancelledError:
            self.channel.send(Cancel(number))
            raise

    async def sync(self) -> None:
        """Returns when the catalogue is as new as the engine process's. Raises UnavailableError."""
        if self.lost.is_set():
            raise UnavailableError(_GONE)
        number = next(self._numbers)
        done = self._syncs[number] = asyncio.get_running_loop().create_future()
        self.channel.send(Sync(number))
        try:
            await done
        finally:
            del self._syncs[number]

    def _take(self, message: FromEngine) -> None:
        match message:
            case Done():
                call = self._calls.pop(message.call)
                if not call.answer.done():
                    costs = (message.queue_seconds, message.infer_seconds, message.batch_rows)
                    call.answer.set_result(Output(call.read(message), *costs))
                call.release()
            case Failed():
                call = self._calls.pop(message.call)
                if not call.answer.done():
                    call.answer.set_exception(_error(message))
                call.release()
            case Synced():
                if (done := self._syncs.get(message.number)) is not None and not done.done():
                    done.set_result(None)
            case messages.Catalogue():
                self._on_catalogue(self, message)

    def _lose(self) -> None:
        self.lost.set()
        for call in self._calls.values():
            if not call.answer.done():
                call.answer.set_exception(UnavailableError(_GONE))
            call.release()
        self._calls.clear()
        for done in self._syncs.values():
            if not done.done():
                done.set_exception(UnavailableError(_GONE))


class _Queue:
    """What the queues of both kinds of models have in common."""

    def __init__(self, connection: Connection, model: Model) -> None:
        self.max_batch = model.max_batch
        self._connection = connection
        self._key = model.key
        self._wait_seconds = 0.0
        self._working = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._closed = False

    @property
    def queued(self) -> int:
        """None: they wait in the engine process, which counts them."""
        return 0

    @property
    def wait_seconds(self) -> float:
        """As the engine process told with its last answer, while there are others to come."""
        return self._wait_seconds if self._working else 0.0

    async def close(self) -> None:
        """Waits for what is in work."""
        self._closed = True
        await self._idle.wait()

    def _begin(self) -> None:
        if self._closed:
            raise UnavailableError("the model is out of service; try again or ask another server")
        self._working += 1
        self._idle.clear()

    def _end(self) -> None:
        self._working -= 1
        if not self._working:
            self._idle.set()


class RemoteImages(_Queue):
    """The queue of a classifier in the engine process."""

    def __init__(self, connection: Connection, model: Model, manifest: Manifest, memory: int, slots: int) -> None:
        """Takes `slots` slots of this process's `memory`: the most images in work."""
        super().__init__(connection, model)
        self._region = connection.regions.take(slab.size_bytes(manifest, slots))
        self._slots = slab.slots_at(memory, self._region[0], manifest, slots)
        self._free = list(range(slots - 1, -1, -1))  # the last one used is the next, and still in the caches
        connection.channel.send(Open(model.key, self._region[0], slots))

    async def submit(
        self,
        item: ImageItem,
        deadline: float | None,
        *,
        lone: bool = False,  # noqa: ARG002  here it never is: others come from other processes
        priority: Priority = Priority.NORMAL,
    ) -> Output[ImageResult]:
        """As `Batcher.submit`; raises UnavailableError too when the engine process ends."""
        if len(self._free) < item.rows:
            raise OverloadedError("the slots to the engine process are taken; try again", _RETRY_SECONDS)
        self._begin()
        slots = [self._free.pop() for _ in range(item.rows)]
        self._slots.pixels[slots] = item.pixels
        targets = item.targets.tolist()
        return await self._connection.call(
            lambda number: Submit(number, self._key, slots, targets, item.method, deadline, priority),
            partial(self._read, slots, item.targets.shape[1]),
            partial(self._release, slots),
        )

    async def close(self) -> None:
        """Waits for what is in work, and gives the memory back."""
        await super().close()
        self._connection.regions.give_back(self._region)

    def _read(self, slots: list[int], targets: int, done: Done) -> ImageResult:
        self._wait_seconds = done.wait_seconds
        probabilities = self._slots.probabilities[slots]
        return ImageResult(probabilities, self._slots.heatmaps[slots, :targets], *most_probable(probabilities))

    def _release(self, slots: list[int]) -> None:
        self._free.extend(slots)
        self._end()


class RemoteRows(_Queue):
    """The queue of a model that takes no images in the engine process."""

    async def submit(
        self,
        item: TensorItem,
        deadline: float | None,
        *,
        lone: bool = False,  # noqa: ARG002  as for images
        priority: Priority = Priority.NORMAL,
    ) -> Output[dict[str, Array]]:
        """As `Batcher.submit`; raises UnavailableError too when the engine process ends."""
        self._begin()
        inputs = messages.pack(item.inputs)
        return await self._connection.call(
            lambda number: SubmitRows(number, self._key, inputs, item.wanted, deadline, priority), self._read, self._end
        )

    def _read(self, done: Done) -> dict[str, Array]:
        self._wait_seconds = done.wait_seconds
        return messages.unpack(done.outputs or {})


class RemoteStore(Catalogue):
    """The models of the engine process."""

    def __init__(self, settings: Settings, events: Events, process: str, address: str, memory: int) -> None:
        """`process` is this one's name, `address` an abstract Unix socket, `memory` a file descriptor of `slab.create`."""
        super().__init__(events)
        self._slots = settings.max_inflight_images
        self._process = process
        self._address = address
        self._memory = memory
        self._keys: dict[tuple[str, int], int] = {}
        self._complete = asyncio.Event()
        self._connection: Connection | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def load_all(self) -> None:
        """Returns when the engine process has loaded every bundle."""
        self._spawn(self._keep_connected())
        await self._complete.wait()

    async def load(self, name: str) -> None:  # noqa: ARG002  the engine process has done it
        """Takes over what the engine process has loaded. Raises UnavailableError."""
        if self._connection is not None:
            await self._connection.sync()

    async def unload(self, name: str) -> None:
        """Takes over what the engine process has unloaded. Raises UnavailableError."""
        await self.load(name)

    async def close(self) -> None:
        """Waits for what is in work, and leaves."""
        for model in self.served():
            await model.batcher.close()
        for task in self._tasks:
            task.cancel()
        if self._connection is not None:
            self._connection.channel.close()

    async def _keep_connected(self) -> None:
        """The supervisor holds the listening socket: a connection waits there while there is no engine process."""
        loop = asyncio.get_running_loop()
        while True:
            end = socket.socket(socket.AF_UNIX)
            end.connect(f"\0{self._address}")
            connection = self._connection = Connection(self._on_catalogue)
            await loop.create_unix_connection(lambda made=connection: made.channel, sock=end)  # type: ignore[misc]
            connection.channel.send(Hello(self._process))
            await connection.lost.wait()
            log.error("%s", _GONE)
            for model in self.served():
                self.enter(model.name, model.version, NotServed(ModelState.LOADING, _GONE))
            self._keys.clear()

    def _on_catalogue(self, connection: Connection, told: messages.Catalogue) -> None:
        for model in told.models:
            key = self._keys.get((model.name, model.version), 0)
            if model.key and key == model.key:
                self.refuse(model.name, model.version, model.reason)
                continue
            before = self.versions(model.name).get(model.version)
            after = self._entry(connection, model)
            self._keys[model.name, model.version] = model.key
            if after != before:
                self.enter(model.name, model.version, after, model.reason)
            if isinstance(before, SERVED):
                self._spawn(_let_go(connection, key, before))
        for version in self._keys.keys() - {(model.name, model.version) for model in told.models}:
            del self._keys[version]
            self.forget(*version)
        for name, roles in told.roles.items():
            self.assign(name, roles.labels, roles.shadow)
        if told.complete:
            self._complete.set()

    def _entry(self, connection: Connection, model: Model) -> Entry:
        if not model.key:
            return NotServed(ModelState(model.state), model.reason)
        runtime = _Runtime(model.engine, model.precision, model.device)
        common = (model.name, model.version, runtime, model.loaded_at, model.fingerprint)
        manifest = messages.manifest_of(model)
        if isinstance(manifest, TensorManifest):
            return ServedTensors(*common, manifest, RemoteRows(connection, model))
        return ServedClassifier(*common, manifest, RemoteImages(connection, model, manifest, self._memory, self._slots))

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _let_go(connection: Connection, key: int, model: ServedModel) -> None:
    """Waits until nobody here uses a model that has left the catalogue, and says so."""
    await model.users.gone()
    await model.batcher.close()
    connection.channel.send(Release(key))
