"""One process of a server, seen from the supervisor: how it is started, what it last counted, and how it ended."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from server.families import Family
from server.processes.link import Link, LinkClosedError, Methods, open_link
from server.processes.posts import Post
from server.processes.start import Start

# A process that lived this long was well: what ends it then is a new trouble.
_WELL_SECONDS = 30.0
_FIRST_SECONDS, _LONGEST_SECONDS = 0.1, 30.0


class Process:
    """A process from its start to its end."""

    def __init__(self, post: Post, popen: "subprocess.Popen[bytes]", link: Link, methods: Methods) -> None:
        """`methods` answer what the process asks."""
        self.name = post.start.name
        self.is_engine = post.is_engine
        self.pid = popen.pid
        self.link = link
        self.ready = asyncio.Event()
        self.families: Sequence[Family] = ()  # as it last told
        self._refreshing: asyncio.Task[None] | None = None
        self._popen = popen
        self._answering = asyncio.create_task(link.run(methods))
        self._ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._pidfd = os.pidfd_open(popen.pid)
        asyncio.get_running_loop().add_reader(self._pidfd, self._on_end)

    async def end(self) -> int:
        """Waits for its end; its exit code, -N when signal N killed it."""
        return await asyncio.shield(self._ended)

    async def ready_or_ended(self) -> None:
        """Waits until it serves, or does not any more."""
        ready = asyncio.create_task(self.ready.wait())
        either: set[asyncio.Future[Any]] = {ready, self._ended}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal, unless it has ended."""
        self._popen.send_signal(number)

    def refresh(self) -> "asyncio.Task[None]":
        """Asks for its figures, once at a time: `families` has them when the task is done."""
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.create_task(self._refresh())
        return self._refreshing

    async def _refresh(self) -> None:
        with contextlib.suppress(LinkClosedError):  # the last ones stay
            self.families = await self.link.ask("families", None, list[Family])

    def _on_end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._ended.set_result(self._popen.wait())


async def launch(post: Post, start: Start, methods: Methods) -> Process:
    """Starts a process with a fresh interpreter, in a process group of its own: Ctrl-C is for the supervisor alone.

    It is told `start`, and gets its end of a link on which `methods` answer it.
    """
    mine, its = socket.socketpair()
    with its:
        argument = replace(start, link=its.fileno()).argument()
        popen = subprocess.Popen(  # noqa: ASYNC220  returns when the program runs, within milliseconds
            [sys.executable, "-m", post.module, argument],
            pass_fds=[its.fileno(), *post.inherited],
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr.fileno(),
            process_group=0,
        )
    return Process(post, popen, await open_link(mine), methods)


class Backoff:
    """How long to wait before the next start: twice as long each time, from the beginning when a process lived well."""

    def __init__(self) -> None:
        self._seconds = _FIRST_SECONDS

    def after(self, lived_seconds: float) -> float:
        """Seconds to wait after a process that lived for `lived_seconds`."""
        if lived_seconds >= _WELL_SECONDS:
            self._seconds = _FIRST_SECONDS
        wait, self._seconds = self._seconds, min(2 * self._seconds, _LONGEST_SECONDS)
        return wait


def described(status: int) -> str:
    """How a process ended, for people."""
    return f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with exit code {status}"
