"""Which processes a server of given settings has, and what connects them."""

import secrets
import socket
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from server.config import Device, EngineProcess, Settings
from server.processes import slab
from server.processes.start import Start

_SERVING, _ENGINE = "server.processes.serving", "server.processes.engine"


@dataclass(frozen=True)
class Post:
    """A place for a process: `python -m MODULE`, told `start`, inheriting file descriptors."""

    module: str
    start: Start
    inherited: tuple[int, ...] = ()

    @property
    def is_engine(self) -> bool:
        """Whether the others need it."""
        return self.module == _ENGINE


def posts(settings: Settings, common: Start) -> list[Post]:
    """The engine process first, when there is one; `common` is what all are told."""
    names = [f"[{number}]" for number in range(1, settings.processes + 1)]
    if not _one_engine(settings):
        return [Post(_SERVING, replace(common, name=name)) for name in names]
    address = f"seethrough-{secrets.token_hex(16)}"
    # Abstract: it needs no folder, and ends with its last process. Held here, so that connections wait while no engine process lives.
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"\0{address}")
    listener.listen(128)
    memories = {name: slab.create(name) for name in names}
    owner = replace(
        common,
        name="[engine]",
        settings=replace(settings, processes=1),  # all cores are its
        memories=memories,
        listener=listener.detach(),
    )
    return [Post(_ENGINE, owner, (owner.listener, *memories.values())), *_remote(common, address, memories)]


def _remote(common: Start, address: str, memories: dict[str, int]) -> Sequence[Post]:
    return [
        Post(_SERVING, replace(common, name=name, engine=address, memory=memory), (memory,))
        for name, memory in memories.items()
    ]


def _one_engine(settings: Settings) -> bool:
    """By itself for a GPU, where engines of several processes would each take memory and make small batches."""
    if settings.engine_process is EngineProcess.AUTO:
        return settings.device is Device.CUDA or (settings.device is Device.AUTO and _has_gpu())
    return settings.engine_process is EngineProcess.ON


def _has_gpu() -> bool:
    if not any(Path(device).exists() for device in ("/dev/nvidiactl", "/dev/dxg")):
        return False
    from server.engine import onnxruntime

    return onnxruntime.has_gpu()
