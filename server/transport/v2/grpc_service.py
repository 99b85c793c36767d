"""inference.GRPCInferenceService: convert, call, convert."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import TypeVar

from proto import open_inference_pb2 as pb
from proto import open_inference_pb2_grpc as rpc
from server.errors import InvalidRequestError, ServerError
from server.transport import grpc_calls, timings, versions
from server.transport.calls import Calls
from server.transport.grpc_calls import Context
from server.transport.grpc_methods import Unreadable
from server.transport.grpc_streams import Streams
from server.transport.security.access import Access
from server.transport.security.grpc_guard import caller
from server.transport.status import message
from server.transport.v2 import grpc_messages as convert
from server.transport.v2.inference import OpenInference

T = TypeVar("T")


class InferenceService(rpc.GRPCInferenceServiceServicer):
    """The service, over the use cases of the protocol."""

    def __init__(
        self, inference: OpenInference, calls: Calls, access: Access, streams: Streams, clock: Callable[[], float]
    ) -> None:
        self._inference = inference
        self._calls = calls
        self._access = access
        self._streams = streams
        self._clock = clock

    async def ServerLive(self, request: pb.ServerLiveRequest, context: Context) -> pb.ServerLiveResponse:  # noqa: ARG002
        """True, for it answers."""
        return pb.ServerLiveResponse(live=True)

    async def ServerReady(self, request: pb.ServerReadyRequest, context: Context) -> pb.ServerReadyResponse:  # noqa: ARG002
        """Whether the server wants traffic."""
        return pb.ServerReadyResponse(ready=self._inference.is_ready())

    async def ModelReady(self, request: pb.ModelReadyRequest, context: Context) -> pb.ModelReadyResponse:  # noqa: ARG002
        """Whether a model answers."""
        return pb.ModelReadyResponse(ready=self._inference.model_ready(request.name, request.version))

    async def ServerMetadata(
        self,
        request: pb.ServerMetadataRequest,  # noqa: ARG002
        context: Context,  # noqa: ARG002
    ) -> pb.ServerMetadataResponse:
        """Name, version and extensions of the server."""
        name, version, extensions = self._inference.server_metadata()
        return pb.ServerMetadataResponse(name=name, version=version, extensions=extensions)

    async def ModelMetadata(self, request: pb.ModelMetadataRequest, context: Context) -> pb.ModelMetadataResponse:
        """Inputs, outputs and versions of a model in service."""
        name, version = request.name, request.version
        model = await self._answered(context, lambda own: self._inference.model_metadata(name, version, own))
        return convert.from_metadata(model)

    async def ModelConfig(self, request: pb.ModelConfigRequest, context: Context) -> pb.ModelConfigResponse:
        """A model in service, as tools that generate load want to know it."""
        name, version = request.name, request.version
        model = await self._answered(
            context, lambda own: self._inference.model_metadata(name, version, own, "ModelConfig")
        )
        return pb.ModelConfigResponse(config=convert.to_config(model))

    async def ModelStatistics(self, request: pb.ModelStatisticsRequest, context: Context) -> pb.ModelStatisticsResponse:
        """What models in service have done."""
        name, version = request.name, request.version
        found = await self._answered(context, lambda own: self._inference.statistics(name, version, own))
        return convert.from_statistics(found)

    async def ModelInfer(self, request: pb.ModelInferRequest, context: Context) -> pb.ModelInferResponse:
        """Computes the outputs of a model for a batch of inputs."""
        request_id = self._calls.request_id(await grpc_calls.begin(context, request.id))
        deadline = grpc_calls.deadline(context, self._clock())
        try:
            response, seconds = await self._infer("ModelInfer", request, request_id, deadline)
        except ServerError as error:
            await grpc_calls.abort(context, error, request_id)
        grpc_calls.tell_timings(context, request_id, seconds)
        return response

    async def ModelStreamInfer(
        self, requests: AsyncIterator[pb.ModelInferRequest | Unreadable], context: Context
    ) -> AsyncGenerator[pb.ModelStreamInferResponse, None]:
        """Answers a stream of requests in their order, several of them in work at once."""
        stream_id, deadline = await grpc_calls.begin(context, ""), grpc_calls.deadline(context, self._clock())

        async def answer(request: pb.ModelInferRequest | Unreadable) -> pb.ModelStreamInferResponse:
            if isinstance(request, Unreadable):
                request_id = self._calls.request_id(stream_id)
                self._calls.refused("ModelStreamInfer", request_id, request.error)
                return pb.ModelStreamInferResponse(error_message=message(request.error, request_id))
            return await self._stream_answer(request, stream_id, deadline)

        grpc_calls.tell_id(context, stream_id)
        async with aclosing(self._streams.answers(requests, answer, context)) as answers:
            async for each in answers:
                yield each

    async def RepositoryIndex(self, request: pb.RepositoryIndexRequest, context: Context) -> pb.RepositoryIndexResponse:
        """Every version of every model in the repository."""
        found = await self._answered(context, lambda own: self._inference.index(request.ready, own))
        return convert.from_index(found)

    async def RepositoryModelLoad(
        self, request: pb.RepositoryModelLoadRequest, context: Context
    ) -> pb.RepositoryModelLoadResponse:
        """Brings what is on disk of a model into service."""
        request_id = self._calls.request_id(await grpc_calls.begin(context, ""))
        try:
            convert.check_load(request.parameters)
            await self._inference.load(request.model_name, request_id, caller(context, self._access))
        except ServerError as error:
            await grpc_calls.abort(context, error, request_id)
        grpc_calls.tell_id(context, request_id)
        return pb.RepositoryModelLoadResponse()

    async def RepositoryModelUnload(
        self, request: pb.RepositoryModelUnloadRequest, context: Context
    ) -> pb.RepositoryModelUnloadResponse:
        """Takes a model out of service."""
        request_id = self._calls.request_id(await grpc_calls.begin(context, ""))
        try:
            await self._inference.unload(request.model_name, request_id, caller(context, self._access))
        except ServerError as error:
            await grpc_calls.abort(context, error, request_id)
        grpc_calls.tell_id(context, request_id)
        return pb.RepositoryModelUnloadResponse()

    async def _stream_answer(
        self, request: pb.ModelInferRequest, stream_id: str, deadline: float | None
    ) -> pb.ModelStreamInferResponse:
        request_id = self._calls.request_id(request.id or stream_id)
        try:
            response, _ = await self._infer("ModelStreamInfer", request, request_id, deadline)
        except ServerError as error:
            failed = pb.ModelInferResponse(id=request.id)
            return pb.ModelStreamInferResponse(error_message=message(error, request_id), infer_response=failed)
        return pb.ModelStreamInferResponse(infer_response=response)

    async def _infer(
        self, rpc_name: str, request: pb.ModelInferRequest, request_id: str, deadline: float | None
    ) -> tuple[pb.ModelInferResponse, timings.Seconds]:
        """The answer, raw when the request was, and the seconds that it took by stage. Raises ServerError only.

        Triton's clients write and read raw contents only; those made for KServe's specification, and people with grpcurl,
        write typed ones and read typed ones. So each gets what it understands.
        """
        received = self._clock()
        try:
            values = convert.to_request(request)
        except InvalidRequestError:
            with self._calls.counted(
                rpc_name, request.model_name, versions.to_count(request.model_version), request_id
            ):
                raise
        response = await self._inference.infer(values, rpc_name, request_id, received, deadline)
        return convert.from_response(response, raw=bool(request.raw_input_contents)), response.timings

    async def _answered(self, context: Context, answer: Callable[[str], T]) -> T:
        return await grpc_calls.answered(context, self._calls, answer)
