"""The ASGI application: from a request on the wire to an operation, and from its answer or error back.

Plain ASGI, because inference is asked thousands of times a second and a framework's layers would cost as much as the rest.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import replace

from server.errors import DeadlineError, InternalError, ServerError, UnavailableError
from server.transport.calls import Calls
from server.transport.http import body, headers, replies
from server.transport.http.asgi import ClientGoneError, HttpError, Receive, Scope, Send
from server.transport.http.operation import Operation, Reply, Request
from server.transport.http.routing import Routes

log = logging.getLogger(__name__)

_CLOSING = "the server is shutting down; go on with another one"


class Application:
    """Answers the operations of `routes`."""

    def __init__(self, routes: Routes, calls: Calls, clock: Callable[[], float], max_request_bytes: int) -> None:
        self._routes = routes
        self._calls = calls
        self._clock = clock
        self._limit = max_request_bytes
        self._working: set[asyncio.Task[None]] = set()
        self._draining = False

    async def drain(self, seconds: float) -> None:
        """Takes no more work; returns when what there is has been answered, or cancels it after `seconds`."""
        self._draining = True
        if self._working:
            _, late = await asyncio.wait(self._working, timeout=seconds)
            for task in late:
                task.cancel()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        given = dict(scope["headers"])
        request_id = self._calls.request_id("")
        try:
            request_id = headers.request_id(given) or request_id
            operation, path = self._routes.find(scope["method"], scope["raw_path"])
            request = Request(path, scope["query_string"], given, b"", request_id, self._clock(), None)
            if operation.body is None:
                reply = await operation.handle(request)
            else:
                reply = await self._work(operation, request, receive)
            reply = await replies.compressed(reply, headers.coding(given))
        except ClientGoneError:
            return
        except asyncio.CancelledError:
            reply = replies.refusal(UnavailableError(_CLOSING), request_id)
        except (HttpError, ServerError) as error:
            reply = replies.refusal(error, request_id)
        except Exception:
            log.exception("request %r failed", request_id)
            reply = replies.refusal(InternalError("unforeseen error"), request_id)
        await self._send(send, receive, reply, request_id)

    async def _work(self, operation: Operation, request: Request, receive: Receive) -> Reply:
        """Reads the body and handles the request, for as long as its caller waits."""
        if self._draining:
            raise UnavailableError(_CLOSING)
        seconds = headers.timeout(request.headers) if operation.timed else None
        deadline = None if seconds is None else request.received + seconds
        task = _this_task()
        self._working.add(task)
        try:
            content = await body.read(receive, request.headers, self._limit)
            request = replace(request, body=content, received=self._clock(), deadline=deadline)
            return await _unless_gone(receive, self._in_time(operation, request))
        finally:
            self._working.discard(task)

    async def _in_time(self, operation: Operation, request: Request) -> Reply:
        """Raises DeadlineError when the answer is not there at the deadline."""
        if request.deadline is None:
            return await operation.handle(request)
        try:
            async with asyncio.timeout(request.deadline - self._clock()):
                return await operation.handle(request)
        except TimeoutError:
            raise DeadlineError("the deadline passed before the answer was computed") from None

    async def _send(self, send: Send, receive: Receive, reply: Reply, request_id: str) -> None:
        close = (b"connection", b"close") in reply.headers
        all_headers = [
            (b"content-type", reply.media.encode()),
            (b"content-length", str(len(reply.body)).encode()),
            (b"x-request-id", request_id.encode()),
            *reply.headers,
        ]
        await send({"type": "http.response.start", "status": reply.status, "headers": all_headers})
        await send({"type": "http.response.body", "body": reply.body, "more_body": close})
        if close:
            await body.linger(receive, self._limit)
            await send({"type": "http.response.body", "body": b""})


async def _unless_gone(receive: Receive, work: Coroutine[None, None, Reply]) -> Reply:
    """The result of `work`, which is cancelled when the client leaves; raises ClientGoneError then."""
    task = _this_task()
    watch = asyncio.get_running_loop().create_task(_cancel_when_gone(receive, task))
    try:
        return await work
    except asyncio.CancelledError:
        if not watch.done():
            raise
        task.uncancel()
        raise ClientGoneError from None
    finally:
        watch.cancel()


async def _cancel_when_gone(receive: Receive, task: asyncio.Task[None]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    task.cancel()


def _this_task() -> asyncio.Task[None]:
    task = asyncio.current_task()
    assert task is not None, "called by a task"  # noqa: S101  for the type checker
    return task
