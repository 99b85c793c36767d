"""Clients that send a large request and never its last byte, or that never read: no library does so.

HTTP/2 as in RFC 9113, headers as literals without an index (RFC 7541, section 6.2.2).
"""

import asyncio
import itertools
import struct
from collections.abc import AsyncGenerator
from contextlib import suppress

SIZE = 30 << 20
PIECE = 16_000
_DATA, _HEADERS, _RESET, _SETTINGS, _GO_AWAY, _WINDOW_UPDATE = 0, 1, 3, 4, 7, 8
_ACK, _END_STREAM, _END_HEADERS, _INITIAL_WINDOW_SIZE = 1, 1, 4, 4
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_STREAM = 1
_METHOD = b"/seethrough.v1.ImageClassifier/Classify"
_HEADER_FIELDS = {
    b":method": b"POST",
    b":scheme": b"http",
    b":path": _METHOD,
    b":authority": b"x",
    b"content-type": b"application/grpc",
    b"te": b"trailers",
}


async def over_http(address: str) -> str:
    """The first line of the refusal."""
    host, port = address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"POST /v1/models/shapes:classify HTTP/1.1\r\nhost: x\r\ncontent-length: {SIZE}\r\n\r\n".encode())
    answer = asyncio.ensure_future(reader.readline())
    left = SIZE - 1
    with suppress(ConnectionError):
        while left and not answer.done():
            writer.write(bytes(min(PIECE, left)))
            left -= min(PIECE, left)
            await writer.drain()
    line = await answer
    writer.close()
    return line.decode().strip()


class OverGrpc:
    """One call of Classify."""

    def __init__(self) -> None:
        self._room = {0: 65_535, _STREAM: 65_535}  # flow control: of the connection, of the stream
        self._initial = 65_535
        self._changed = asyncio.Event()
        self.ended = False  # the server wants no more of it
        self.sent = 0

    async def flood(self, address: str) -> None:
        """Sends until the server ends the call, or is held by it for ever: then it is cancelled."""
        host, port = address.split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        reading = asyncio.ensure_future(self._read(reader, writer))
        writer.write(_PREFACE + _frame(_SETTINGS, 0, 0, b""))
        writer.write(_frame(_HEADERS, _END_HEADERS, _STREAM, _fields()))
        try:
            await self._send(writer)
        finally:
            reading.cancel()
            writer.close()

    async def _send(self, writer: asyncio.StreamWriter) -> None:
        message = struct.pack(">BL", 0, SIZE) + bytes(SIZE - 1)
        while not self.ended:
            size = min(PIECE, *self._room.values(), len(message) - self.sent)
            if size > 0:
                writer.write(_frame(_DATA, 0, _STREAM, message[self.sent : self.sent + size]))
                self.sent += size
                self._room = {stream: room - size for stream, room in self._room.items()}
                await writer.drain()
            else:
                self._changed.clear()
                await self._changed.wait()

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readexactly(9)
                body = await reader.readexactly(int.from_bytes(head[:3], "big"))
                self._take(head[3], head[4], int.from_bytes(head[5:], "big"), body, writer)
                self._changed.set()
        self.ended = True
        self._changed.set()

    def _take(self, kind: int, flags: int, stream: int, body: bytes, writer: asyncio.StreamWriter) -> None:
        if kind == _WINDOW_UPDATE:
            self._room[stream] += int.from_bytes(body, "big")
        elif kind == _SETTINGS and not flags & _ACK:
            for name, value in struct.iter_unpack(">HL", body):
                if name == _INITIAL_WINDOW_SIZE:
                    self._room[_STREAM] += value - self._initial
                    self._initial = value
            writer.write(_frame(_SETTINGS, _ACK, 0, b""))
        elif kind in (_HEADERS, _RESET, _GO_AWAY):
            self.ended = True


async def without_reading(address: str, message: bytes) -> AsyncGenerator[bool, None]:
    """Makes calls on one connection, one after the other, and has no room for any of the answers; yields for each whether it was refused.

    `message` must fit into what a stream may send without being asked, 64 KiB.
    """
    host, port = address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    no_room = struct.pack(">HL", _INITIAL_WINDOW_SIZE, 0)
    writer.write(_PREFACE + _frame(_SETTINGS, 0, 0, no_room))
    sent = struct.pack(">BL", 0, len(message)) + message
    pieces = [sent[start : start + PIECE] for start in range(0, len(sent), PIECE)]
    try:
        for stream in itertools.count(_STREAM, 2):
            writer.write(_frame(_HEADERS, _END_HEADERS, stream, _fields()))
            for piece in pieces:
                writer.write(_frame(_DATA, _END_STREAM if piece is pieces[-1] else 0, stream, piece))
            yield await _is_over(stream, reader, writer)
    finally:
        writer.close()


async def _is_over(stream: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Whether the head of the answer on `stream` is its end too: an error."""
    while True:
        head = await reader.readexactly(9)
        await reader.readexactly(int.from_bytes(head[:3], "big"))
        if head[3] == _SETTINGS and not head[4] & _ACK:
            writer.write(_frame(_SETTINGS, _ACK, 0, b""))
        if head[3] == _HEADERS and int.from_bytes(head[5:], "big") == stream:
            return bool(head[4] & _END_STREAM)


def _fields() -> bytes:
    return b"".join(b"\0" + _string(name) + _string(value) for name, value in _HEADER_FIELDS.items())


def _frame(kind: int, flags: int, stream: int, body: bytes) -> bytes:
    return struct.pack(">L", len(body))[1:] + struct.pack(">BBL", kind, flags, stream) + body


def _string(text: bytes) -> bytes:
    return bytes([len(text)]) + text
