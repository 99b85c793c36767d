"""Reading a body, never more of it than allowed, neither what is sent nor what that unpacks to, and never for longer."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from server.errors import InvalidRequestError
from server.transport.http.asgi import ClientGoneError, HttpError, Receive
from server.transport.http.budget import Share

_AUTOMATIC = 32 + zlib.MAX_WBITS  # gzip (RFC 1952) or zlib (RFC 1950, which HTTP calls deflate), by their first bytes
_LINGER_SECONDS = 5.0


@dataclass(frozen=True)
class Patience:
    """How long a body may take: `seconds` without a byte, and altogether another one for each `bytes_per_second` that have come."""

    seconds: float = 20.0
    bytes_per_second: int = 16 * 1024


_PATIENCE = Patience()


async def read(
    receive: Receive, headers: Mapping[bytes, bytes], limit: int, share: Share, patience: Patience = _PATIENCE
) -> bytes:
    """The body, unpacked by its content-encoding; its bytes are taken from `share`.

    Raises HttpError 413 when it has more than `limit` bytes, on the strength of its content-length before any of it is
    read, 408 when it comes too slowly, 415 for an encoding other than gzip and deflate, InvalidRequestError when it does not unpack,
    OverloadedError when there is no room for it, ClientGoneError.
    """
    encoding = headers.get(b"content-encoding", b"identity").lower()
    if encoding not in {b"identity", b"gzip", b"deflate"}:
        raise HttpError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"content-encoding: {encoding.decode('latin-1')!r}; send gzip, deflate or none",
            ((b"accept-encoding", b"gzip, deflate"),),
        )
    if int(headers.get(b"content-length", 0)) > limit:
        raise _too_large(limit)
    body = await _in_time(receive, limit, share, patience)
    if encoding == b"identity":
        return body
    unpacked = await asyncio.to_thread(_unpack, body, limit)
    share.grow(len(unpacked))
    return unpacked


async def linger(receive: Receive, limit: int) -> None:
    """Swallows what a client goes on sending after its refusal, for a while.

    Closing a connection on unread bytes resets it, and a reset can overtake the refusal.
    """
    size = 0
    try:
        async with asyncio.timeout(_LINGER_SECONDS):
            async for chunk in _chunks(receive):
                size += len(chunk)
                if size > limit:
                    return
    except (TimeoutError, ClientGoneError):
        return


async def _in_time(receive: Receive, limit: int, share: Share, patience: Patience) -> bytes:
    """The whole body, whose parts buy time for the next ones."""
    chunks, size, loop = [], 0, asyncio.get_running_loop()
    until = loop.time() + patience.seconds
    try:
        async with asyncio.timeout_at(until) as timeout:
            async for chunk in _chunks(receive):
                size += len(chunk)
                if size > limit:
                    raise _too_large(limit)
                share.grow(len(chunk))
                chunks.append(chunk)
                timeout.reschedule(min(loop.time() + patience.seconds, until + size / patience.bytes_per_second))
    except TimeoutError:
        raise HttpError(
            HTTPStatus.REQUEST_TIMEOUT,
            f"of the body, {size:,} bytes have come in {loop.time() - until + patience.seconds:.0f} s; send it faster",
            ((b"connection", b"close"),),
        ) from None
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def _chunks(receive: Receive) -> AsyncIterator[bytes]:
    """The parts of the body as they come. Raises ClientGoneError."""
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        more = message.get("more_body", False)
        yield message.get("body", b"")


def _too_large(limit: int) -> HttpError:
    return HttpError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"the body is larger than the limit of {limit:,} bytes; send less at a time",
        ((b"connection", b"close"),),
    )


def _unpack(packed: bytes, limit: int) -> bytes:
    unpacker = zlib.decompressobj(_AUTOMATIC)
    try:
        body = unpacker.decompress(packed, limit + 1)
    except zlib.error as error:
        raise InvalidRequestError(f"the body does not unpack: {error}") from error
    if len(body) > limit:
        raise _too_large(limit)
    if not unpacker.eof:
        raise InvalidRequestError("the body does not unpack: it ends too early")
    if unpacker.unused_data:
        raise InvalidRequestError(f"the body does not unpack: {len(unpacker.unused_data)} bytes after its end")
    return body
