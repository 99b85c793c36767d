"""seethrough.v1.ImageClassifier: convert, call, convert."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, NoReturn, TypeVar

import grpc
from google.rpc.status_pb2 import Status

from proto import classifier_pb2 as pb
from proto import classifier_pb2_grpc as rpc
from server.errors import ServerError
from server.serving.service import Serving
from server.transport import convert
from server.transport.calls import Calls
from server.transport.status import grpc_code, to_status

T = TypeVar("T")
Context = grpc.aio.ServicerContext[Any, Any]

# Requests of one stream that are in work at once; the stream is not read further until the oldest is answered.
STREAM_WINDOW = 32


class ImageClassifier(rpc.ImageClassifierServicer):
    """The service, over a Serving."""

    def __init__(self, serving: Serving, calls: Calls, clock: Callable[[], float]) -> None:
        self._serving = serving
        self._calls = calls
        self._clock = clock
        self._closing = asyncio.Event()

    def close(self) -> None:
        """Reads no further requests from open streams, which would otherwise hold up a drain; what was read is answered."""
        self._closing.set()

    async def Classify(self, request: pb.ClassifyRequest, context: Context) -> pb.ClassifyResponse:
        """Classifies and explains the images of one request."""
        request_id = self._calls.request_id(request.request_id)
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
        with self._calls.counted("ListModels", "", 0, ""):
            return pb.ListModelsResponse(models=map(convert.from_model, self._serving.models()))

    async def GetModel(self, request: pb.GetModelRequest, context: Context) -> pb.Model:
        """One version of one model."""
        try:
            with self._calls.counted("GetModel", request.model, request.version, ""):
                return convert.from_model(self._serving.model(request.model, convert.to_version(request.version)))
        except ServerError as error:
            await _abort(context, error, "")

    async def _stream_answer(self, request: pb.ClassifyRequest, deadline: float | None) -> pb.ClassifyStreamResponse:
        request_id = self._calls.request_id(request.request_id)
        try:
            response = await self._classify("ClassifyStream", request, request_id, deadline)
        except ServerError as error:
            return pb.ClassifyStreamResponse(error=to_status(error, request_id), request_id=request_id)
        return pb.ClassifyStreamResponse(response=response, request_id=request_id)

    async def _classify(
        self, rpc_name: str, request: pb.ClassifyRequest, request_id: str, deadline: float | None
    ) -> pb.ClassifyResponse:
        """Raises ServerError only."""
        with self._calls.counted(rpc_name, request.model, request.version, request_id):
            job = convert.to_job(request, request_id, self._clock(), deadline)
            return convert.from_classification(await self._serving.classify(job))

    def _deadline(self, context: Context) -> float | None:
        left = context.time_remaining()
        return None if left is None else self._clock() + left


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
