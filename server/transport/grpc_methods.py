"""How the methods of a service come to their requests: read by us and not by grpc.aio, which costs the same and answers for more.

grpc.aio logs a traceback for every message that is no protobuf, and it reads every call's message at once, however many callers send
theirs a byte at a time. On the wire a single message is the same as a stream of one, so methods with a single request are
registered as streams here, and their message is read by `Reading`.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, Final, NoReturn

import grpc
from google.protobuf.message import DecodeError

from server.errors import InvalidRequestError, OverloadedError, ServerError
from server.transport import grpc_calls
from server.transport.calls import Calls
from server.transport.grpc_calls import Context
from server.transport.outbox import Outbox

Parse = Callable[[bytes], Any]
Write = Callable[[Any], bytes]
# Raises when there is no room for any request with so many seconds until its deadline, None without one.
TurnAway = Callable[[float | None], None]
Method = Callable[[Any, Context], Any]

# A message that takes longer is a slow one. What comes faster is gone again before it can fill the memory.
_SLOW_SECONDS: Final = 2.0
_LONGEST_SECONDS: Final = 60.0
_RETRY_SECONDS = 1.0
# Methods that bring pictures. Under overload most are turned away, and reading their messages would take longer than all the rest.
_LARGE = {"Classify", "ModelInfer"}
# Metadata of callers who may be let in all the same: only the message tells whether they are.
_URGENT = ("priority", "high")


class Unreadable:
    """In place of a request that is no protobuf message, or not the method's."""

    __slots__ = ("error",)

    def __init__(self, error: DecodeError) -> None:
        self.error = InvalidRequestError(f"the request is no message of this method: {error}")


class Reading:
    """The calls whose message is on its way, of which only so many may be slow: each may hold memory for a whole message."""

    def __init__(self, most_slow: int, slow_seconds: float = _SLOW_SECONDS) -> None:
        self._most_slow = most_slow
        self._slow_seconds = slow_seconds
        self._since: dict[asyncio.Task[Any], float] = {}  # in the order in which they began
        self._given_up: set[asyncio.Task[Any]] = set()
        self._sweep: asyncio.TimerHandle | None = None

    async def message(self, context: Context) -> bytes:
        """The only message of a call. Raises OverloadedError when too many are slow, InvalidRequestError when there is none."""
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None, "called by a task"  # noqa: S101  for the type checker
        self._since[task] = loop.time()
        if self._sweep is None:
            self._sweep = loop.call_later(self._slow_seconds, self._give_up_slow)
        try:
            data = await context.read()
        except asyncio.CancelledError:
            if task not in self._given_up:
                raise
            task.uncancel()
            raise OverloadedError(
                "too many requests arrive too slowly; try again later, or send less", _RETRY_SECONDS
            ) from None
        finally:
            del self._since[task]
            self._given_up.discard(task)
        if data is grpc.aio.EOF:
            raise InvalidRequestError("the call has no message; send one")
        return bytes(data)

    def _give_up_slow(self) -> None:
        """Ends reading the youngest of the slow ones where there are too many, and whatever takes for ever."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        slow = [task for task, since in self._since.items() if now - since >= self._slow_seconds]
        too_long = [task for task in slow if now - self._since[task] >= _LONGEST_SECONDS]
        for task in {*slow[self._most_slow :], *too_long} - self._given_up:
            self._given_up.add(task)
            task.cancel()
        self._sweep = loop.call_later(self._slow_seconds / 2, self._give_up_slow) if self._since else None


class Methods:
    """Stands in for a server where generated code registers a service."""

    def __init__(
        self,
        server: grpc.aio.Server,
        calls: Calls,
        reading: Reading,
        outbox: Outbox,
        turn_away: TurnAway,
        *,
        in_place: bool = True,
    ) -> None:
        """`in_place`: the streams of the service take an Unreadable among their requests; otherwise it ends them."""
        self._server = server
        self._calls = calls
        self._reading = reading
        self._outbox = outbox
        self._turn_away = turn_away
        self._in_place = in_place

    def add_generic_rpc_handlers(self, handlers: Iterable[Any]) -> None:
        """Called by generated code, which says the same again, with names, in the other method."""

    def add_registered_method_handlers(self, service: str, handlers: dict[str, Any]) -> None:
        """Called by generated code."""
        ours = {name: self._ours(name, handler) for name, handler in handlers.items()}
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, ours),))

    def _ours(self, name: str, handler: Any) -> Any:
        parse, write = _tolerant(handler.request_deserializer), handler.response_serializer
        if handler.request_streaming and self._in_place:
            return grpc.stream_stream_rpc_method_handler(handler.stream_stream, parse, write)
        if handler.request_streaming:
            return grpc.stream_stream_rpc_method_handler(self._ending(name, handler.stream_stream), parse, write)
        if handler.response_streaming:
            return grpc.stream_stream_rpc_method_handler(self._single(name, parse, handler.unary_stream), None, write)
        single = self._single(name, parse, handler.unary_unary)
        return grpc.stream_unary_rpc_method_handler(self._written(single, write))

    def _single(self, name: str, parse: Parse, method: Callable[[Any, Context], Awaitable[Any]]) -> Method:
        """A method with one request, whose answers, if it has several, it writes itself."""

        async def answer(_: object, context: Context) -> Any:
            try:
                if name in _LARGE:
                    self._admit_unread(context)
                request = parse(await self._reading.message(context))
                if type(request) is Unreadable:
                    raise request.error
            except ServerError as error:
                await self._refuse(name, context, error)
            return await method(request, context)

        return answer

    def _written(self, method: Method, write: Write) -> Method:
        """The method with its answer as bytes, which are counted until they are sent."""

        async def answer(requests: object, context: Context) -> bytes:
            data = write(await method(requests, context))
            call = asyncio.current_task()
            assert call is not None, "called by a task"  # noqa: S101  for the type checker
            self._outbox.put(call, len(data))
            return data

        return answer

    def _admit_unread(self, context: Context) -> None:
        """Raises ServerError when the call need not be read to be refused."""
        try:
            self._turn_away(context.time_remaining())
        except ServerError:
            if _URGENT not in (context.invocation_metadata() or ()):
                raise

    def _ending(self, name: str, method: Callable[[AsyncIterator[Any], Context], AsyncIterator[Any]]) -> Method:
        async def readable(requests: AsyncIterator[Any], context: Context) -> AsyncIterator[Any]:
            async for request in requests:
                if type(request) is Unreadable:
                    await self._refuse(name, context, request.error)
                yield request

        async def answer(requests: AsyncIterator[Any], context: Context) -> AsyncIterator[Any]:
            async for each in method(readable(requests, context), context):
                yield each

        return answer

    async def _refuse(self, name: str, context: Context, error: ServerError) -> NoReturn:
        request_id = self._calls.request_id(await grpc_calls.begin(context, ""))
        self._calls.refused(name, request_id, error)
        await grpc_calls.abort(context, error, request_id)


def _tolerant(parse: Callable[[bytes], Any]) -> Parse:
    def parsed(data: bytes) -> Any:
        try:
            return parse(data)
        except DecodeError as error:
            return Unreadable(error)

    return parsed
