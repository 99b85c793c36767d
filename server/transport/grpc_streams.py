"""Streams of requests, answered in their order with several in work at once, for every service that has them."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message

from server.transport.grpc_calls import Context
from server.transport.outbox import Outbox

Request = TypeVar("Request")
Response = TypeVar("Response", bound=Message)

# Requests of one stream that are in work at once; the stream is not read further until the oldest is answered.
WINDOW = 32


class Streams:
    """The open streams of a server."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._closing = asyncio.Event()

    def close(self) -> None:
        """Reads no further requests from open streams, which would otherwise hold up a drain; what was read is answered."""
        self._closing.set()

    async def answers(
        self,
        requests: AsyncIterator[Request],
        answer: Callable[[Request], Coroutine[Any, Any, Response]],
        context: Context,
    ) -> AsyncGenerator[Response, None]:
        """What `answer`, which must not raise, makes of each request. Aborts with UNAVAILABLE after `close`."""
        window: asyncio.Queue[asyncio.Task[Response] | None] = asyncio.Queue(WINDOW)
        call = asyncio.current_task()
        assert call is not None, "called by a task"  # noqa: S101  for the type checker

        async def counted(request: Request) -> Response:
            response = await answer(request)
            self._outbox.put(call, response.ByteSize())
            return response

        async with asyncio.TaskGroup() as group:

            async def read() -> None:
                async for request in self._until_closing(requests):
                    await window.put(group.create_task(counted(request)))
                await window.put(None)

            group.create_task(read())
            while (task := await window.get()) is not None:
                response = await task
                yield response
                self._outbox.take(call, response.ByteSize())
        if self._closing.is_set():
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the server is shutting down; go on with another one")

    async def _until_closing(self, requests: AsyncIterator[Request]) -> AsyncIterator[Request]:
        """The requests up to their end, or until the server closes."""

        async def following() -> Request:
            return await anext(requests)

        closed = asyncio.ensure_future(self._closing.wait())
        try:
            while True:
                request = asyncio.ensure_future(following())
                await asyncio.wait([request, closed], return_when=asyncio.FIRST_COMPLETED)
                if not request.done():
                    request.cancel()
                    return
                try:
                    yield request.result()
                except StopAsyncIteration:
                    return
        finally:
            closed.cancel()
