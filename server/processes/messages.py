"""What a serving process and the engine process tell each other, and how it travels: length, then MessagePack, many in one write.

Pixels and answers about them lie in shared memory (`slab`) and are only pointed at. Rows of models without images travel in the
messages: their shapes vary, and they are small.
"""

import asyncio
import os
import socket
import struct
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar, cast

import msgspec
import numpy as np

from bundle.manifest import Manifest, TensorManifest
from server.batching.policy import Priority
from server.engine.base import Array
from server.serving.roles import Roles

# Name, element type and shape, and the elements of an array.
Arrays = dict[str, tuple[str, tuple[int, ...], bytes]]


class _Message(msgspec.Struct, frozen=True, array_like=True, gc=False):
    pass


class Hello(_Message, frozen=True, tag=1):
    """The first message: which serving process this is, and so whose memory is meant."""

    process: str


class Open(_Message, frozen=True, tag=2):
    """The serving process has put slots for a model of the catalogue at `offset` of its memory."""

    model: int
    offset: int
    slots: int


class Submit(_Message, frozen=True, tag=3):
    """Images that travel together, in slots that belong to the engine process until it answers, with the targets of each.

    `deadline` is on CLOCK_MONOTONIC, seconds.
    """

    call: int
    model: int
    slots: list[int]
    targets: list[list[int]]
    method: int
    deadline: float | None
    priority: Priority


class SubmitRows(_Message, frozen=True, tag=4):
    """Rows for a model that takes no images."""

    call: int
    model: int
    inputs: Arrays
    wanted: tuple[str, ...]
    deadline: float | None
    priority: Priority


class Cancel(_Message, frozen=True, tag=5):
    """Nobody waits for the answer any more; it is sent all the same, to give the slot back."""

    call: int


class Release(_Message, frozen=True, tag=7):
    """Nobody in the serving process uses a model any more that is not in the catalogue any more; this is the last word about it."""

    model: int


class Sync(_Message, frozen=True, tag=6):
    """Asks for `Synced` after everything that was sent before."""

    number: int


class Model(_Message, frozen=True):
    """A version in the catalogue. `key` is another for each time it is loaded, 0 unless it is in service; `manifest` is JSON, empty unless it is in service."""

    key: int
    name: str
    version: int
    state: str
    reason: str
    engine: str
    precision: str
    device: str
    max_batch: int
    loaded_at: float
    manifest: bytes
    fingerprint: str = ""  # of the manifest


class Catalogue(_Message, frozen=True, tag=11):
    """All versions of all models, sent whenever one changes, and what they are called; `complete` when the first loading is over."""

    complete: bool
    models: tuple[Model, ...]
    roles: dict[str, Roles]


class Done(_Message, frozen=True, tag=12):
    """An answer; `outputs` for rows, those for an image lie in its slot."""

    call: int
    queue_seconds: float
    infer_seconds: float
    batch_rows: int
    wait_seconds: float  # until the engine has answered all that waits
    outputs: Arrays | None


class Failed(_Message, frozen=True, tag=13):
    """No answer, by an error of server.errors."""

    call: int
    kind: str
    message: str


class Synced(_Message, frozen=True, tag=14):
    """Everything that was sent before `Sync` has been seen, and everything sent before this."""

    number: int


ToEngine = Hello | Open | Submit | SubmitRows | Cancel | Sync | Release
FromEngine = Catalogue | Done | Failed | Synced
M = TypeVar("M")

_HEAD = 4  # bytes of the length, little endian


class Channel(asyncio.Protocol, Generic[M]):
    """One side of a stream of messages. Those sent during one turn of the event loop leave in one write."""

    def __init__(self, kinds: Any, on_message: Callable[[M], None], on_lost: Callable[[], None]) -> None:
        """`kinds` are the messages that come, as a union."""
        self._decoder = msgspec.msgpack.Decoder(kinds)
        self._encoder = msgspec.msgpack.Encoder()
        self._on_message = on_message
        self._on_lost = on_lost
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._leaving = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        connected: socket.socket = transport.get_extra_info("socket")
        _, uid, _ = struct.unpack("3i", connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        if uid != os.geteuid():
            transport.close()  # an abstract socket has no permissions: everyone on this machine can come
        else:
            self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        if self._transport is None:
            return
        received = self._received
        received += data
        at = 0
        while len(received) - at >= _HEAD:
            end = at + _HEAD + int.from_bytes(received[at : at + _HEAD], "little")
            if len(received) < end:
                break
            self._on_message(self._decoder.decode(bytes(received[at + _HEAD : end])))
            at = end
        del received[:at]

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Called by the event loop."""
        self._transport = None
        self._on_lost()

    def send(self, message: msgspec.Struct) -> None:
        """Sends a message, or nothing when the other side is gone."""
        if not self._leaving:
            asyncio.get_running_loop().call_soon(self._flush)
        encoded = self._encoder.encode(message)
        self._leaving += len(encoded).to_bytes(_HEAD, "little")
        self._leaving += encoded

    def close(self) -> None:
        """Ends the stream."""
        if self._transport is not None:
            self._transport.close()

    def _flush(self) -> None:
        if self._transport is not None:
            self._transport.write(bytes(self._leaving))
        self._leaving.clear()


def pack(arrays: Mapping[str, Array]) -> Arrays:
    """Arrays for a message."""
    return {name: (array.dtype.str, array.shape, array.tobytes()) for name, array in arrays.items()}


def unpack(arrays: Arrays) -> dict[str, Array]:
    """The arrays of a message, read-only."""
    return {name: np.frombuffer(data, dtype).reshape(shape) for name, (dtype, shape, data) in arrays.items()}


class _Kind(msgspec.Struct):
    kind: str


def manifest_of(model: Model) -> Manifest | TensorManifest:
    """That of a model in service."""
    if msgspec.json.decode(model.manifest, type=_Kind).kind == "tensor":
        return msgspec.json.decode(model.manifest, type=TensorManifest)
    return msgspec.json.decode(model.manifest, type=Manifest)
