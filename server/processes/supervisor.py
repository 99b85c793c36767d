"""Keeps the processes of one server: starts them one after the other, restarts what dies, adds up what they count, drains all.

It answers no request itself and loads neither engine nor gRPC, so that there is little in it that could end it. Processes start one
at a time because each measures which engine is fastest, which two at once would spoil.
"""

import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from server import families
from server.config import Settings, StartError
from server.errors import ModelNotFoundError, ServerError
from server.families import Family
from server.processes import ports
from server.processes.keeper import Backoff, Process, described, launch
from server.processes.link import Methods
from server.processes.posts import Post, posts
from server.processes.start import Start
from server.signals import first_signal, signal_or_failure

log = logging.getLogger(__name__)

# A process that does not tell its figures in this time is counted by its last ones.
_FIGURES_SECONDS = 0.5
# This many starts that fail in a row, while no process serves, are not bad luck.
_MOST_FAILED_STARTS = 5
# After what draining may take.
_SPARE_SECONDS = 5.0


def run(settings: Settings) -> int:
    """Serves in several processes until a signal ends them; the exit status. Raises StartError when they cannot begin to."""
    wanted = [port for port in (settings.grpc_port, settings.http_port, settings.probe_port) if port is not None]
    with ports.reserved(settings.host, *wanted) as (grpc_port, http_port, *probe_port):
        settings = replace(settings, grpc_port=grpc_port, http_port=http_port, probe_port=next(iter(probe_port), None))
        return asyncio.run(Supervisor(settings).run())


class Supervisor:
    """Of `settings.processes` processes on two ports that are reserved."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._processes: list[Process] = []  # those that live
        common = Start(settings, "", -1, os.getpid(), ())
        self._posts = posts(settings, common)
        # Without an engine process each measures its engines; with one, they wait for it and not for each other.
        self._starting = asyncio.Semaphore(len(self._posts) if self._posts[0].is_engine else 1)
        self._changing = asyncio.Lock()  # one load or unload at a time, so that all do them in the same order
        self._unloaded: set[str] = set()
        self._ended: Sequence[Family] = ()  # what processes counted that are no more
        self._restarts = self._failed_starts = 0
        self._announced = False

    async def run(self) -> int:
        """Until all processes have ended after a signal; 0 when they did so in order. Raises StartError."""
        stop = first_signal()
        keepers = [asyncio.create_task(self._keep(post)) for post in self._posts]
        return await self._drain(await signal_or_failure(stop, keepers))

    async def _keep(self, post: Post) -> None:
        """Has a process at a post, always. Raises StartError when there is no use in starting processes."""
        backoff = Backoff()
        while True:
            began = self._clock()
            async with self._starting:
                process = await self._start(post)
                await process.ready_or_ended()
            status = await process.end()
            self._processes.remove(process)
            self._ended = families.merged([self._ended, families.cumulative(process.families)])
            seconds = backoff.after(self._clock() - began)
            how = described(status)
            log.error("process %s (pid %d) %s; the next in %.1f s", process.name, process.pid, how, seconds)
            if not process.ready.is_set():
                self._count_failed_start(status)
            await asyncio.sleep(seconds)
            self._restarts += 1

    def _count_failed_start(self, status: int) -> None:
        self._failed_starts += 1
        if self._failed_starts >= _MOST_FAILED_STARTS and not self._serving():
            raise StartError(
                f"{self._failed_starts} processes in a row ended before they could serve, the last one "
                f"{described(status)}; the log above says why"
            )

    async def _start(self, post: Post) -> Process:
        async def ready(models: list[str]) -> None:
            process.ready.set()
            self._failed_starts = 0
            self._announce(models)

        methods: Methods = {"ready": ready, "families": self._families, "load": self._load, "unload": self._unload}
        start = replace(post.start, unloaded=tuple(sorted(self._unloaded)))
        process = await launch(post, start, methods)
        self._processes.append(process)
        return process

    def _serving(self) -> list[Process]:
        return [process for process in self._processes if process.ready.is_set() and not process.is_engine]

    def _announce(self, models: Sequence[str]) -> None:
        """Prints the one line that scripts wait for, when all processes serve for the first time."""
        settings = self._settings
        if self._announced or sum(process.ready.is_set() for process in self._processes) < len(self._posts):
            return
        self._announced = True
        shown = f"[{settings.host}]" if ":" in settings.host else settings.host
        addresses = f"grpc={shown}:{settings.grpc_port} http={shown}:{settings.http_port}"
        if settings.probe_port is not None:
            addresses += f" probes={shown}:{settings.probe_port}"
        print(f"serving {addresses} models={','.join(models)}", flush=True)  # noqa: T201

    async def _families(self, _: None) -> list[Family]:
        """What all processes count, those that have ended included."""
        if self._processes:
            await asyncio.wait([process.refresh() for process in self._processes], timeout=_FIGURES_SECONDS)
        text = "Times that a process was started in the place of one that had ended."
        return [
            *families.merged([*(process.families for process in self._processes), self._ended]),
            families.gauge("seethrough_processes", "Processes that serve now.", len(self._serving())),
            families.counter("seethrough_process_restarts", text, self._restarts),
        ]

    async def _load(self, name: str) -> None:
        async with self._changing:
            self._unloaded.discard(name)
            await self._in_all("load", name)

    async def _unload(self, name: str) -> None:
        async with self._changing:
            # Before it is done: a process that starts meanwhile must know.
            self._unloaded.add(name)
            try:
                await self._in_all("unload", name)
            except ModelNotFoundError:
                self._unloaded.discard(name)
                raise

    async def _in_all(self, method: str, name: str) -> None:
        """First in the engine process, when there is one; then the others take over what it has. Raises the first error."""
        errors = [
            error
            for is_engine in (True, False)
            for error in await _failures(
                [each for each in self._processes if each.is_engine is is_engine], method, name
            )
        ]
        if errors:
            raise errors[0]

    async def _drain(self, received: signal.Signals) -> int:
        """Hands the signal on and waits, for the engine process last: the others need it for what they have in work."""
        log.info("%s: draining %d processes", received.name, len(self._processes))
        seconds = self._settings.grace_seconds + self._settings.drain_seconds + _SPARE_SECONDS
        ended = [
            await _ended(process, seconds)
            for is_engine in (False, True)
            for process in _told([each for each in self._processes if each.is_engine is is_engine], received)
        ]
        log.info("stopped")
        return 0 if all(ended) else 1


def _told(processes: list[Process], received: signal.Signals) -> list[Process]:
    """All of them, each having got the signal."""
    for process in processes:
        process.signal(received)
    return processes


async def _ended(process: Process, seconds: float) -> bool:
    """Whether a process ends in order within `seconds`; one that does not is killed with this one."""
    try:
        status = await asyncio.wait_for(process.end(), seconds)
    except TimeoutError:
        log.error("process %s (pid %d) did not end in %.0f s", process.name, process.pid, seconds)
        return False
    if status and process.ready.is_set():
        log.error("process %s (pid %d) %s", process.name, process.pid, described(status))
        return False
    return True


async def _failures(processes: Sequence[Process], method: str, name: str) -> list[ServerError]:
    """What processes answered that could not do it; one that ends meanwhile starts anew with what is on disk."""
    asked = [process.link.ask(method, name, type(None)) for process in processes]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    errors = [answer for answer in answers if isinstance(answer, ServerError)]
    where = "" if len(errors) == len(answers) else f" (in {len(errors)} of {len(answers)} processes)"
    return [type(error)(f"{error}{where}") for error in errors]
