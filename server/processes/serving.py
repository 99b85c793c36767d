"""One of several serving processes: `server.app`, with the others behind a link to the supervisor.

Started by the supervisor as `python -m server.processes.serving ARGUMENT`.
"""

import asyncio
import logging
import socket
import sys
from collections.abc import Callable, Sequence

import uvloop

from server.app import App, MakeStore, Store
from server.config import Settings, StartError
from server.events import Events
from server.families import Family
from server.processes.link import Link, Methods, open_link
from server.processes.remote import RemoteStore
from server.processes.start import Start, begin, unload_again
from server.serving.jobs import ModelStatus, Version
from server.serving.models import ServedModel
from server.serving.service import Models

log = logging.getLogger(__name__)


class Others:
    """The processes of this server, by way of the supervisor."""

    def __init__(self, link: Link, unloaded: Sequence[str]) -> None:
        self._link = link
        self._unloaded = unloaded

    async def prepare(self, store: Store) -> None:
        """Takes out of service what was taken out by request before this process started."""
        await unload_again(store, self._unloaded)

    async def ready(self, models: Sequence[str]) -> None:
        """Tells the supervisor."""
        await self._link.ask("ready", models, type(None))

    async def families(self) -> list[Family]:
        """The metrics of all, added up by the supervisor."""
        return await self._link.ask("families", None, list[Family])

    def everywhere(self, store: Store) -> Models:
        """`store`, but the supervisor has all load and unload."""
        return _Everywhere(store, self._link)


class _Everywhere:
    def __init__(self, store: Store, link: Link) -> None:
        self._store = store
        self._link = link

    def resolve(self, name: str, version: Version) -> ServedModel:
        return self._store.resolve(name, version)

    def status(self, name: str, version: Version) -> ModelStatus:
        return self._store.status(name, version)

    def number(self, name: str, version: Version) -> int:
        return self._store.number(name, version)

    def statuses(self) -> list[ModelStatus]:
        return self._store.statuses()

    def served(self) -> Sequence[ServedModel]:
        return self._store.served()

    async def load(self, name: str) -> None:
        await self._link.ask("load", name, type(None))

    async def unload(self, name: str) -> None:
        await self._link.ask("unload", name, type(None))


def methods(app: App) -> Methods:
    """What the supervisor asks a serving process."""

    async def families(_: None) -> list[Family]:
        return await app.families()

    return {"families": families, "load": app.store.load, "unload": app.store.unload}


def _store(start: Start) -> MakeStore:
    """Engines of its own, or those of the engine process: then this process never loads an inference library."""
    if not start.engine:
        from server.serving.repository import Repository

        return Repository

    def remote(settings: Settings, events: Events, _: Callable[[], float]) -> Store:
        return RemoteStore(settings, events, start.name, start.engine, start.memory)

    return remote


async def _serve(start: Start) -> None:
    link = await open_link(socket.socket(fileno=start.link))
    app = App(start.settings, _store(start), Others(link, () if start.engine else start.unloaded))
    answering = asyncio.create_task(link.run(methods(app)))
    await app.serve()
    answering.cancel()


def main() -> None:
    """Serves until a signal ends it."""
    start = begin(sys.argv[1])
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(start))
    except StartError as error:
        log.error("%s", error)
        sys.exit(1)


if __name__ == "__main__":
    main()
