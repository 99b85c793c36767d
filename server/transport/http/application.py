"""The ASGI application: from a request on the wire to an operation, and from its answer or error back.

Plain ASGI, because inference is asked thousands of times a second and a framework's layers would cost as much as the rest.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace

from server.errors import DeadlineError, InternalError, ServerError, UnavailableError
from server.evidence.calls import Call
from server.transport.calls import Calls
from server.transport.http import body, headers, replies
from server.transport.http.asgi import ClientGoneError, HttpError, Receive, Scope, Send
from server.transport.http.budget import Budget
from server.transport.http.operation import Operation, Reply, Request
from server.transport.http.routing import Routes
from server.transport.security.access import Access
from server.transport.security.http_guard import caller
from server.transport.security.refusals import refuse
from server.transport.status import grpc_code

log = logging.getLogger(__name__)

_CLIENT_GONE = 499  # for the log: nobody is told
_CLOSING = "the server is shutting down; go on with another one"


class Application:
    """Answers the operations of `routes`."""

    def __init__(
        self,
        routes: Routes,
        calls: Calls,
        access: Access,
        clock: Callable[[], float],
        max_request_bytes: int,
        budget: Budget,
    ) -> None:
        self._routes = routes
        self._calls = calls
        self._access = access
        self._clock = clock
        self._limit = max_request_bytes
        self._budget = budget
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
        call: Call | None = None
        failure: HttpError | ServerError | None = None
        try:
            request_id = headers.request_id(given) or request_id
            call = self._calls.begun_http(request_id, given, scope)
            operation, path = self._routes.find(scope["method"], scope["raw_path"])
            if call is not None:
                call.route(operation.path)
            if self._access.needs_tokens:
                self._admit(operation, path, scope, given, request_id)
            request = Request(path, scope["query_string"], given, b"", request_id, self._clock(), None, scope)
            if operation.body is None:
                reply = await operation.handle(request)
            else:
                reply = await self._work(operation, request, receive)
            reply = await replies.compressed(reply, headers.coding(given))
        except ClientGoneError:
            self._calls.done_http(call, _CLIENT_GONE, "CANCELLED", "")
            return
        except asyncio.CancelledError:
            failure = UnavailableError(_CLOSING)
        except (HttpError, ServerError) as error:
            failure = error
        except Exception:
            log.exception("request %r failed", request_id)
            failure = InternalError("unforeseen error")
        if failure is not None:
            reply = replies.refusal(failure, request_id)
            self._calls.done_http(call, reply.status, _code(failure), str(failure))
        else:
            self._calls.done_http(call, reply.status, "OK", "")
        await self._send(send, receive, reply, request_id)

    def _admit(
        self,
        operation: Operation,
        path: Mapping[str, str],
        scope: Scope,
        given: Mapping[bytes, bytes],
        request_id: str,
    ) -> None:
        """Looks at the caller's token before the body is read. Raises ServerError."""
        try:
            self._access.admit(operation.need, given.get(b"authorization"))
        except ServerError as error:
            rpc, who = operation.rpc or operation.id, caller(scope, self._access)
            refuse(error, self._calls, operation.need, rpc, path.get("model", ""), request_id, who)

    async def _work(self, operation: Operation, request: Request, receive: Receive) -> Reply:
        """Reads the body and handles the request, for as long as its caller waits."""
        if self._draining:
            raise UnavailableError(_CLOSING)
        seconds = headers.timeout(request.headers) if operation.timed else None
        deadline = None if seconds is None else request.received + seconds
        task = _this_task()
        self._working.add(task)
        try:
            with self._budget.share() as share:
                content = await body.read(receive, request.headers, self._limit, share)
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


def _code(error: HttpError | ServerError) -> str:
    """The code to tell of an error: gRPC's, or its name on HTTP where only HTTP knows it."""
    return error.status.name if isinstance(error, HttpError) else grpc_code(error).name


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
