"""The asynchronous client: `Client` for one event loop."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable, Mapping
from types import TracebackType
from typing import Self, TypeVar

import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from client import calls, convert, tensors
from client.errors import from_rpc
from client.results import Classification, Explain, ModelInfo, Priority, StreamAnswer
from client.security import Tls, Token, credentials, options
from client.tensors import Array, TensorModel
from proto import classifier_pb2 as pb
from proto.classifier_pb2_grpc import ImageClassifierStub
from proto.open_inference_pb2_grpc import GRPCInferenceServiceStub

Q = TypeVar("Q")
A = TypeVar("A")


class AsyncClient:
    """What Client is, with the same parameters, methods, answers and errors, for use in one event loop.

    Make it in a coroutine; use it in an `async with` block, or await `close`. Files are read and pictures packed in threads.
    """

    def __init__(
        self,
        target: str = calls.DEFAULT_TARGET,
        *,
        timeout: float = 30.0,
        retries: int = 3,
        compression: grpc.Compression = grpc.Compression.NoCompression,
        tls: Tls | None = None,
        token: Token = "",
    ) -> None:
        self.target = target
        self._timeout = timeout
        self._retries = retries
        self._closed = asyncio.Event()
        self._token = token
        self._balanced = _channel(target, tls, calls.balanced(), compression)
        self._direct = _channel(target, tls, calls.direct(), compression)
        self._classifier = ImageClassifierStub(self._balanced)
        self._catalogue = ImageClassifierStub(self._direct)
        self._arrays = GRPCInferenceServiceStub(self._balanced)
        self._health = HealthStub(self._balanced)

    async def classify(
        self,
        images: Iterable[convert.ImageInput],
        model: str,
        *,
        version: int | str = 0,
        top_k: int = 1,
        explain: Explain | None = None,
        request_id: str = "",
        priority: Priority = Priority.NORMAL,
    ) -> Classification:
        """See Client.classify."""
        along = calls.metadata(self._token, request_id, priority)
        request = await asyncio.to_thread(
            convert.to_request, images, model, version, top_k, explain, request_id, priority
        )
        return convert.from_response(await self._call(self._classifier.Classify, request, along))

    async def classify_stream(
        self,
        requests: AsyncIterable[convert.Request],
        *,
        timeout: float | None = None,  # noqa: ASYNC109  # a deadline of the wire
    ) -> AsyncGenerator[StreamAnswer, None]:
        """See Client.classify_stream; `requests` is read in another task."""
        failures: list[Exception] = []
        along = calls.metadata(self._token)
        stream = self._classifier.ClassifyStream(_messages(requests, failures), timeout=timeout, metadata=along)
        try:
            async for answer in stream:
                yield convert.from_stream(answer)
        except grpc.RpcError as error:
            raise from_rpc(error) from error
        finally:
            stream.cancel()
        if failures:
            raise failures[0]

    async def models(self) -> list[ModelInfo]:
        """See Client.models."""
        answer = await self._call(self._catalogue.ListModels, pb.ListModelsRequest(), calls.metadata(self._token))
        return list(map(convert.from_model, answer.models))

    async def get_model(self, model: str, version: int | str = 0) -> ModelInfo:
        """See Client.get_model."""
        request = convert.to_model_request(model, version)
        return convert.from_model(await self._call(self._catalogue.GetModel, request, calls.metadata(self._token)))

    async def infer(self, inputs: Mapping[str, Array], model: str, *, version: int | str = 0) -> dict[str, Array]:
        """See Client.infer."""
        request = tensors.to_infer_request(inputs, model, version)
        answer = await self._call(self._arrays.ModelInfer, request, calls.metadata(self._token))
        return tensors.from_infer_response(answer)

    async def tensor_model(self, model: str, version: int | str = 0) -> TensorModel:
        """See Client.tensor_model."""
        request = tensors.to_config_request(model, version)
        return tensors.from_config(await self._call(self._arrays.ModelConfig, request, calls.metadata(self._token)))

    async def ready(self, model: str = "") -> bool:
        """See Client.ready."""
        try:
            check = self._health.Check  # type: ignore[attr-defined]  # missing in the types
            along = calls.metadata(self._token)
            answer = await check(HealthCheckRequest(service=model), timeout=self._timeout, metadata=along)
        except grpc.RpcError as error:
            failure = from_rpc(error)
            if failure.code in calls.NOT_READY:
                return False
            raise failure from error
        return bool(answer.status == HealthCheckResponse.SERVING)

    async def close(self) -> None:
        """See Client.close."""
        self._closed.set()
        await self._balanced.close()
        await self._direct.close()

    async def _call(self, method: grpc.aio.UnaryUnaryMultiCallable[Q, A], request: Q, metadata: calls.Metadata) -> A:
        tries = calls.Tries(self._timeout, self._retries)
        while True:
            try:
                return await method(request, timeout=tries.seconds_left(), metadata=metadata)
            except grpc.RpcError as error:
                failure = from_rpc(error)
                wait = tries.wait_after(failure)
                if wait is None or await self._closed_within(wait):
                    raise failure from error

    async def _closed_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._closed.wait(), seconds)
        return self._closed.is_set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()


def _channel(
    target: str, tls: Tls | None, wanted: calls.ChannelOptions, compression: grpc.Compression
) -> grpc.aio.Channel:
    """Raises OSError or ValueError for files that cannot be used."""
    if tls is None:
        return grpc.aio.insecure_channel(target, wanted, compression)
    return grpc.aio.secure_channel(target, credentials(tls), (*wanted, *options(tls)), compression)


async def _messages(
    requests: AsyncIterable[convert.Request], failures: list[Exception]
) -> AsyncIterator[pb.ClassifyRequest]:
    """Ends at the first failure and keeps it: raised in gRPC's task it would be logged there and break the stream."""
    try:
        async for request in requests:
            yield await asyncio.to_thread(convert.to_request, *request)
    except Exception as error:  # noqa: BLE001  # whatever it is, it is raised where the answers are read
        failures.append(error)
