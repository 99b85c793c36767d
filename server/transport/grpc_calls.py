"""What every gRPC method has in common: its request id, its deadline, its errors, and what travels behind its answer."""

from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

import grpc

from server.errors import ServerError
from server.evidence.calls import Headers, heard
from server.evidence.w3c import TRACEPARENT, TRACESTATE
from server.transport import timings
from server.transport.calls import Calls
from server.transport.status import grpc_code, to_status

T = TypeVar("T")
Context = grpc.aio.ServicerContext[Any, Any]

REQUEST_ID = "x-request-id"
# Longer ids are not echoed: what travels behind an answer must fit into what clients accept as headers, 8 KiB.
_LONGEST_ECHO = 256


async def begin(context: Context, field: str) -> str:
    """The caller's id of the request: the message's own `field`, else the metadata `x-request-id`; empty without both.

    Keeps what the caller says of its trace, for whoever follows the call. Compresses the answer when the metadata `accept-encoding` lists gzip, as on HTTP. gRPC has no way to ask for it: what its
    clients send by themselves, `grpc-accept-encoding`, says only what they could read.
    """
    request_id, traceparent, tracestate = field, "", ""
    for name, value in context.invocation_metadata() or ():
        if name == REQUEST_ID and not field:
            request_id = str(value)
        elif name == TRACEPARENT:
            traceparent = str(value)
        elif name == TRACESTATE:
            tracestate = f"{tracestate},{value!s}" if tracestate else str(value)
        elif name == "accept-encoding" and "gzip" in str(value):
            context.set_compression(grpc.Compression.Gzip)
            await context.send_initial_metadata(())  # grpc.aio forgets the compression of unary answers otherwise
    if traceparent:
        heard(Headers(traceparent, tracestate))
    return request_id


def deadline(context: Context, now: float) -> float | None:
    """The caller's deadline on the clock that says `now`; None when it set none."""
    left = context.time_remaining()
    return None if left is None else now + left


def tell_timings(context: Context, request_id: str, seconds: timings.Seconds) -> None:
    """Sends the request id and, as `server-timing`, the seconds of each stage behind the answer."""
    context.set_trailing_metadata((*_echo(request_id), ("server-timing", timings.header(seconds))))


def tell_id(context: Context, request_id: str) -> None:
    """Sends the request id, if there is one, behind an answer that is not timed."""
    context.set_trailing_metadata(_echo(request_id))


async def answered(context: Context, calls: Calls, answer: Callable[[str], T]) -> T:
    """What `answer` makes of the request id, for calls that are answered at once; ends the call with the error that it raises."""
    request_id = calls.request_id(await begin(context, ""))
    try:
        found = answer(request_id)
    except ServerError as error:
        await abort(context, error, request_id)
    tell_id(context, request_id)
    return found


async def abort(context: Context, error: ServerError, request_id: str) -> NoReturn:
    """Ends the call with the error; google.rpc.Status and the request id travel behind it."""
    status = to_status(error, request_id)
    details = ("grpc-status-details-bin", status.SerializeToString())
    await context.abort(grpc_code(error), status.message, (*_echo(request_id), details))
    raise AssertionError("abort raises")


def _echo(request_id: str) -> tuple[tuple[str, str], ...]:
    """The id as metadata, when it is there and metadata can carry it: printable ASCII."""
    fits = 0 < len(request_id) <= _LONGEST_ECHO and request_id.isascii() and request_id.isprintable()
    return ((REQUEST_ID, request_id),) if fits else ()
