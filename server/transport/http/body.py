"""Reading a body, never more of it than allowed: neither what is sent nor what that unpacks to."""

import asyncio
import zlib
from collections.abc import Mapping
from http import HTTPStatus

from server.errors import InvalidRequestError
from server.transport.http.asgi import ClientGoneError, HttpError, Receive

_AUTOMATIC = 32 + zlib.MAX_WBITS  # gzip (RFC 1952) or zlib (RFC 1950, which HTTP calls deflate), by their first bytes
_LINGER_SECONDS = 5.0


async def read(receive: Receive, headers: Mapping[bytes, bytes], limit: int) -> bytes:
    """The body, unpacked by its content-encoding.

    Raises HttpError 413 when it has more than `limit` bytes, on the strength of its content-length before any of it is
    read, 415 for an encoding other than gzip and deflate, InvalidRequestError when it does not unpack, ClientGoneError.
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
    body = await _collect(receive, limit)
    return body if encoding == b"identity" else await asyncio.to_thread(_unpack, body, limit)


async def linger(receive: Receive, limit: int) -> None:
    """Swallows what a client goes on sending after its refusal, for a while.

    Closing a connection on unread bytes resets it, and a reset can overtake the refusal.
    """
    try:
        async with asyncio.timeout(_LINGER_SECONDS):
            await _collect(receive, limit, keep=False)
    except (TimeoutError, ClientGoneError, HttpError):
        return


async def _collect(receive: Receive, limit: int, *, keep: bool = True) -> bytes:
    chunks, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        chunk, more = message.get("body", b""), message.get("more_body", False)
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        if keep:
            chunks.append(chunk)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


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
