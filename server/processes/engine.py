"""The process that owns the engines: serving processes send it images, it batches those of all of them and answers.

For a GPU, of which several processes would each take memory and make small batches; a CPU engine may as well run in every serving
process. Bundles are verified, compiled, warmed and checked here only. Started by the supervisor as
`python -m server.processes.engine ARGUMENT`.
"""

import asyncio
import itertools
import logging
import socket
import sys
import time
from collections.abc import Coroutine, Mapping
from functools import partial
from typing import Any

import msgspec
import numpy as np
import uvloop

from server import metrics_pages
from server.batching.entries import Output
from server.batching.items import ImageItem, TensorItem
from server.errors import ServerError
from server.events import (
    BatchDone,
    BundleTried,
    EngineFault,
    Events,
    ModelChanged,
    ModelForgotten,
    ModelState,
    RolesChanged,
)
from server.families import Family
from server.metrics import Metrics
from server.processes import slab
from server.processes.link import open_link
from server.processes.messages import (
    Arrays,
    Cancel,
    Catalogue,
    Channel,
    Done,
    Failed,
    Hello,
    Model,
    Open,
    Release,
    Submit,
    SubmitRows,
    Sync,
    Synced,
    ToEngine,
    pack,
    unpack,
)
from server.processes.slab import Slots
from server.processes.start import Start, begin, unload_again
from server.serving.catalogue import Entry, NotServed
from server.serving.models import ServedClassifier, ServedModel, ServedTensors
from server.serving.repository import Repository
from server.serving.roles import Roles
from server.signals import first_signal, signal_or_failure
from server.tally import Tally

log = logging.getLogger(__name__)


class Engines:
    """The models of this process, told to every serving process as they change."""

    def __init__(self, repository: Repository, events: Events) -> None:
        self._repository = repository
        self._sessions: dict[str, Session] = {}
        self._served: dict[int, ServedModel] = {}  # those in the catalogue, by their keys there
        self._keys = itertools.count(1)
        self._complete = False
        events.subscribe(ModelChanged, self._changed)
        events.subscribe(RolesChanged, self._changed)
        events.subscribe(ModelForgotten, self._changed)

    def complete(self) -> None:
        """The first loading is over."""
        self._complete = True
        self._tell()

    def catalogue(self) -> Catalogue:
        """What there is now."""
        before = {id(model): key for key, model in self._served.items()}
        self._served = {before.get(id(model)) or next(self._keys): model for model in self._repository.served()}
        keys = {id(model): key for key, model in self._served.items()}
        entries = self._repository.entries()
        models = (
            _model(keys.get(id(entry), 0), name, number, entry, self._repository.refusal(name, number))
            for name, number, entry in entries
        )
        roles = {name: Roles(self._repository.labels(name), self._repository.shadow(name)) for name, _, _ in entries}
        return Catalogue(self._complete, tuple(models), roles)

    def enter(self, process: str, session: "Session") -> None:
        """A serving process has come; one of that name that was here before is no more."""
        if (before := self._sessions.get(process)) is not None:
            before.end()
        self._sessions[process] = session
        session.tell(self.catalogue(), self._served)

    def leave(self, session: "Session") -> None:
        """A serving process has gone."""
        self._sessions = {name: each for name, each in self._sessions.items() if each is not session}

    def _changed(self, event: ModelChanged | ModelForgotten | RolesChanged) -> None:  # noqa: ARG002  the whole catalogue is told anew
        if self._complete:
            self._tell()

    def _tell(self) -> None:
        catalogue = self.catalogue()
        for session in self._sessions.values():
            session.tell(catalogue, self._served)


class Session:
    """The images of one serving process, which is a user of every model that it was told of until it says otherwise: it may have
    found a model for an image that is still on its way."""

    def __init__(self, engines: Engines, memories: Mapping[str, int]) -> None:
        """`memories` are the file descriptors of each process's memory."""
        self.channel: Channel[ToEngine] = Channel(ToEngine, self._take, self.end)
        self._engines = engines
        self._memories = memories
        self._memory = -1
        self._used: dict[int, ServedModel] = {}  # by the model's key
        self._slots: dict[int, Slots] = {}  # by the model's key
        self._calls: dict[int, asyncio.Task[Done]] = {}

    def end(self) -> None:
        """Nobody waits for anything any more."""
        self._engines.leave(self)
        for task in self._calls.values():
            task.cancel()
        for key in tuple(self._used):
            self._release(key)
        self.channel.close()

    def tell(self, catalogue: Catalogue, served: Mapping[int, ServedModel]) -> None:
        """Tells the serving process of the catalogue, whose models in service are `served`, by their keys."""
        for key, model in served.items():
            if key not in self._used:
                self._used[key] = model
                model.users.__enter__()
        self.channel.send(catalogue)

    def _take(self, message: ToEngine) -> None:
        match message:
            case Submit():
                self._begin(message.call, self._images(message))
            case Cancel():
                if (task := self._calls.get(message.call)) is not None:
                    task.cancel()
            case SubmitRows():
                self._begin(message.call, self._rows(message))
            case Release():
                self._release(message.model)
            case Open():
                self._open(message)
            case Sync():
                self.channel.send(Synced(message.number))
            case Hello():
                self._memory = self._memories[message.process]
                self._engines.enter(message.process, self)

    def _open(self, message: Open) -> None:
        model = self._used[message.model]
        if isinstance(model, ServedClassifier):
            self._slots[message.model] = slab.slots_at(self._memory, message.offset, model.manifest, message.slots)

    def _release(self, key: int) -> None:
        self._slots.pop(key, None)
        self._used.pop(key).users.__exit__()

    def _begin(self, call: int, answering: Coroutine[None, None, Done]) -> None:
        task = self._calls[call] = asyncio.get_running_loop().create_task(answering)
        task.add_done_callback(partial(self._settled, call))

    def _settled(self, call: int, task: asyncio.Task[Done]) -> None:
        """Every call is answered, also one that was cancelled: its slot is free only then."""
        del self._calls[call]
        if task.cancelled():
            self.channel.send(Failed(call, "UnavailableError", "cancelled"))
        elif (error := task.exception()) is None:
            self.channel.send(task.result())
        elif isinstance(error, ServerError):
            self.channel.send(Failed(call, type(error).__name__, str(error)))
        else:
            log.error("an item failed", exc_info=error)
            self.channel.send(Failed(call, "InternalError", "unforeseen error"))

    async def _images(self, message: Submit) -> Done:
        model = self._used[message.model]
        assert isinstance(model, ServedClassifier), "asked as what the catalogue says"  # noqa: S101  for the type checker
        slots, taken = self._slots[message.model], message.slots
        targets = np.array(message.targets, np.int64)
        pixels = slots.pixels[taken[0] : taken[0] + 1] if len(taken) == 1 else slots.pixels[taken]
        output = await model.batcher.submit(
            ImageItem(pixels, targets, message.method), message.deadline, priority=message.priority
        )
        slots.probabilities[taken] = output.result.probabilities
        if explained := targets.shape[1]:
            slots.heatmaps[taken, :explained] = output.result.heatmaps
        return _done(message.call, model, output, None)

    async def _rows(self, message: SubmitRows) -> Done:
        model = self._used[message.model]
        assert isinstance(model, ServedTensors), "asked as what the catalogue says"  # noqa: S101  for the type checker
        output = await model.batcher.submit(
            TensorItem(unpack(message.inputs), message.wanted), message.deadline, priority=message.priority
        )
        return _done(message.call, model, output, pack(output.result))


def _done(call: int, model: ServedModel, output: Output[Any], outputs: Arrays | None) -> Done:
    wait = model.batcher.wait_seconds
    return Done(call, output.queue_seconds, output.infer_seconds, output.batch_rows, wait, outputs)


def _model(key: int, name: str, version: int, entry: Entry, refusal: str) -> Model:
    if isinstance(entry, NotServed):
        return Model(key, name, version, entry.state, entry.reason, "", "", "", 0, 0.0, b"")
    engine, manifest = entry.engine, msgspec.json.encode(entry.manifest)
    runs_on = (engine.name, engine.precision, engine.device, entry.batcher.max_batch)
    found = (*runs_on, entry.loaded_at, manifest, entry.fingerprint)
    return Model(key, name, version, ModelState.SERVING, refusal, *found)


async def _serve(start: Start) -> None:
    stop = first_signal()
    events, counted, tally = Events(), Events(), Tally()
    # What is in service is told by the serving processes, each of which takes it over.
    for told in (BatchDone, EngineFault, BundleTried, ModelForgotten):
        events.subscribe(told, counted.emit)
    events.subscribe(RolesChanged, counted.emit)  # has the refusals of versions.toml, which the others do not hear of
    tally.subscribe(counted)
    metrics = Metrics(tally, counted)
    repository = Repository(start.settings, events, time.monotonic)
    engines = Engines(repository, events)

    async def families(_: None) -> list[Family]:
        queued = [(model.name, str(model.version), model.batcher.queued) for model in repository.served()]
        return metrics_pages.plain(metrics.families(0, queued))

    async def load() -> None:
        await repository.load_all()
        await unload_again(repository, start.unloaded)
        engines.complete()
        names = [f"{model.name}/{model.version}" for model in repository.served()]
        await link.ask("ready", names, type(None))

    link = await open_link(socket.socket(fileno=start.link))
    answering = asyncio.create_task(
        link.run({"families": families, "load": repository.load, "unload": repository.unload})
    )
    listener = socket.socket(fileno=start.listener)
    server = await asyncio.get_running_loop().create_unix_server(
        lambda: Session(engines, start.memories).channel, sock=listener
    )
    loading = asyncio.create_task(load())
    await signal_or_failure(stop, [loading])
    server.close()
    await repository.close()
    answering.cancel()
    log.info("stopped")


def main() -> None:
    """Owns the engines until a signal ends it."""
    start = begin(sys.argv[1])
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(start))


if __name__ == "__main__":
    main()
