"""What a process of a server is told when it starts, as one argument on its command line, and what it does first."""

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import msgspec

from server import memory
from server.config import Settings
from server.errors import ModelNotFoundError
from server.evidence import logs

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


class Unloads(Protocol):
    """A store of models."""

    async def unload(self, name: str) -> None:
        """Raises ModelNotFoundError."""


@dataclass(frozen=True)
class Start:
    """`settings` have the ports as they are; `link` is the file descriptor of the process's end of its link."""

    settings: Settings
    name: str  # of the process, for the log
    link: int
    supervisor: int  # its process id
    unloaded: tuple[str, ...]  # models that are on disk and were taken out of service
    engine: str = ""  # address of the engine process; empty when each serving process has engines of its own
    memory: int = -1  # a serving process's memory, shared with the engine process
    memories: dict[str, int] = field(default_factory=dict)  # for the engine process: the memory of each
    listener: int = -1  # for the engine process: where the others come to

    def argument(self) -> str:
        """For the command line."""
        return msgspec.json.encode(self, enc_hook=str).decode()


def begin(argument: str) -> Start:
    """Reads the argument, starts the log, and makes this process end with its supervisor."""
    start = msgspec.json.decode(argument, type=Start, dec_hook=_read)
    logs.start(start.settings.evidence, start.name)
    _end_with(start.supervisor)
    memory.use_few_arenas()
    return start


async def unload_again(store: Unloads, names: Sequence[str]) -> None:
    """Takes out of service what was taken out by request before this process started, and is on disk still."""
    for name in names:
        with contextlib.suppress(ModelNotFoundError):
            await store.unload(name)


def _read(kind: type[Any], value: Any) -> Any:
    if kind is Path:
        return Path(value)
    raise NotImplementedError(f"{kind} in the settings")


def _end_with(supervisor: int) -> None:
    """The kernel kills this process when its supervisor is gone, as it would have killed a single process."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL)):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != supervisor:
        sys.exit("the supervisor is gone")
