"""seethrough.v1.ImageClassifier: convert, call, convert."""

import asyncio
import itertools
import logging
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, NoReturn, TypeVar

import grpc
from google.rpc.status_pb2 import Status

from proto import classifier_pb2 as pb
from proto import classifier_pb2_grpc as rpc
from server.errors import InternalError, InvalidRequestError, ServerError
from server.events import Events, RequestDone
from server.serving.service import Serving
from server.transport import convert
from server.transport.status import grpc_code, to_status

log = logging.getLogger(__name__)

T = TypeVar("T")
Context = grpc.aio.ServicerContext[Any, Any]

# Requests of one stream that are in work at once; the stream is not read further until the oldest is answered.
STREAM_WINDOW = 32


class ImageClassifier(rpc.ImageClassifierServicer):
    """The service, over a Serving."""

    def __init__(self, serving: Serving, events: Events, clock: Callable[[], float]) -> None:
        self._serving = serving
        self._events = events
        self._clock = clock
        self._closing = asyncio.Event()
        self._request_ids = _request_ids()

    def close(self) -> None:
        """Reads no further requests from open streams, which would otherwise hold up a drain; what was read is answered."""
        self._closing.set()

    async def Classify(self, request: pb.ClassifyRequest, context: Context) -> pb.ClassifyResponse:
        """Classifies and explains the images of one request."""
        request_id = request.request_id or next(self._request_ids)
        try:
            return await self._classify("Classify", request, request_id, self._deadline(context))
        except ServerError as error:
            await _abort(context, error, request_id)

    async def ClassifyStream(
        self, requests: AsyncIterator[pb.ClassifyRequest], context: Context
    ) -> AsyncIterator[pb.ClassifyStreamResponse]:
        """Answers a stream of requests in their order, several of them in work at once."""
        deadline = self._deadline(context)
        window: asyncio.Queue[asyncio.Task[pb.ClassifyStreamResponse] | None] = asyncio.Queue(STREAM_WINDOW)
        async with asyncio.TaskGroup() as group:

            async def read() -> None:
                async for request in _until(self._closing, requests):
                    await window.put(group.create_task(self._stream_answer(request, deadline)))
                await window.put(None)

            group.create_task(read())
            while (task := await window.get()) is not None:
                yield await task
        if self._closing.is_set():
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the server is shutting down; go on with another one")

    async def ListModels(self, request: pb.ListModelsRequest, context: Context) -> pb.ListModelsResponse:  # noqa: ARG002
        """Every version of every model."""
        self._events.emit(RequestDone("", "", "ListModels", "OK"))
        return pb.ListModelsResponse(models=map(convert.from_model, self._serving.models()))

    async def GetModel(self, request: pb.GetModelRequest, context: Context) -> pb.Model:
        """One version of one model."""
        try:
            status = self._serving.model(request.model, convert.to_version(request.version))
        except ServerError as error:
            model, version = self._serving.known(request.model, request.version)
            self._events.emit(RequestDone(model, version, "GetModel", grpc_code(error).name))
            await _abort(context, error, "")
        self._events.emit(RequestDone(status.name, str(status.version), "GetModel", "OK"))
        return convert.from_model(status)

    async def _stream_answer(self, request: pb.ClassifyRequest, deadline: float | None) -> pb.ClassifyStreamResponse:
        request_id = request.request_id or next(self._request_ids)
        try:
            response = await self._classify("ClassifyStream", request, request_id, deadline)
        except ServerError as error:
            return pb.ClassifyStreamResponse(error=to_status(error, request_id), request_id=request_id)
        return pb.ClassifyStreamResponse(response=response, request_id=request_id)

    async def _classify(
        self, rpc_name: str, request: pb.ClassifyRequest, request_id: str, deadline: float | None
    ) -> pb.ClassifyResponse:
        """Raises ServerError only: whatever else goes wrong is logged and becomes an InternalError."""
        code = "OK"
        try:
            job = convert.to_job(request, request_id, self._clock(), deadline)
            return convert.from_classification(await self._serving.classify(job))
        except ServerError as error:
            code = grpc_code(error).name
            if not isinstance(error, InvalidRequestError):
                log.info("request %s for model %r: %s: %s", request_id, request.model, code, error)
            raise
        except asyncio.CancelledError:
            code = "CANCELLED"
            raise
        except Exception as error:
            code = "INTERNAL"
            log.exception("request %s for model %r failed", request_id, request.model)
            raise InternalError("unforeseen error") from error
        finally:
            model, version = self._serving.known(request.model, request.version)
            self._events.emit(RequestDone(model, version, rpc_name, code))

    def _deadline(self, context: Context) -> float | None:
        left = context.time_remaining()
        return None if left is None else self._clock() + left


def _request_ids() -> Iterator[str]:
    """Ids that no other process makes: a random part of this one, and a number."""
    process = secrets.token_hex(6)
    return (f"{process}-{number}" for number in itertools.count(1))


async def _until(closing: asyncio.Event, requests: AsyncIterator[T]) -> AsyncIterator[T]:
    """The requests up to their end, or until `closing` is set."""

    async def following() -> T:
        return await anext(requests)

    closed = asyncio.ensure_future(closing.wait())
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


async def _abort(context: Context, error: ServerError, request_id: str) -> NoReturn:
    status = to_status(error, request_id)
    await context.abort(grpc_code(error), status.message, _details(status))
    raise AssertionError("abort raises")


def _details(status: Status) -> tuple[tuple[str, bytes], ...]:
    """The trailing metadata in which gRPC carries a google.rpc.Status."""
    return (("grpc-status-details-bin", status.SerializeToString()),)
