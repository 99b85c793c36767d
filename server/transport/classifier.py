"""seethrough.v1.ImageClassifier: convert, call, convert."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing

from proto import classifier_pb2 as pb
from proto import classifier_pb2_grpc as rpc
from server.errors import ServerError
from server.serving.jobs import Answer
from server.serving.service import Serving
from server.transport import convert, grpc_calls, timings
from server.transport.calls import Calls
from server.transport.grpc_calls import Context
from server.transport.grpc_methods import Unreadable
from server.transport.grpc_streams import Streams
from server.transport.status import to_status


class ImageClassifier(rpc.ImageClassifierServicer):
    """The service, over a Serving."""

    def __init__(self, serving: Serving, calls: Calls, streams: Streams, clock: Callable[[], float]) -> None:
        self._serving = serving
        self._calls = calls
        self._streams = streams
        self._clock = clock

    async def Classify(self, request: pb.ClassifyRequest, context: Context) -> pb.ClassifyResponse:
        """Classifies and explains the images of one request."""
        request_id = self._calls.request_id(await grpc_calls.begin(context, request.request_id))
        deadline = grpc_calls.deadline(context, self._clock())
        try:
            response, seconds = await self._classify("Classify", request, request_id, deadline)
        except ServerError as error:
            await grpc_calls.abort(context, error, request_id)
        grpc_calls.tell_timings(context, request_id, seconds)
        return response

    async def ClassifyStream(
        self, requests: AsyncIterator[pb.ClassifyRequest | Unreadable], context: Context
    ) -> AsyncGenerator[pb.ClassifyStreamResponse, None]:
        """Answers a stream of requests in their order, several of them in work at once."""
        stream_id, deadline = await grpc_calls.begin(context, ""), grpc_calls.deadline(context, self._clock())

        async def answer(request: pb.ClassifyRequest | Unreadable) -> pb.ClassifyStreamResponse:
            if isinstance(request, Unreadable):
                request_id = self._calls.request_id(stream_id)
                self._calls.refused("ClassifyStream", request_id, request.error)
                return pb.ClassifyStreamResponse(error=to_status(request.error, request_id), request_id=request_id)
            return await self._stream_answer(request, stream_id, deadline)

        grpc_calls.tell_id(context, stream_id)
        async with aclosing(self._streams.answers(requests, answer, context)) as answers:
            async for each in answers:
                yield each

    async def ListModels(self, request: pb.ListModelsRequest, context: Context) -> pb.ListModelsResponse:  # noqa: ARG002
        """Every version of every model."""

        def answer(request_id: str) -> pb.ListModelsResponse:
            with self._calls.counted("ListModels", "", 0, request_id):
                return pb.ListModelsResponse(models=map(convert.from_model, self._serving.models()))

        return await grpc_calls.answered(context, self._calls, answer)

    async def GetModel(self, request: pb.GetModelRequest, context: Context) -> pb.Model:
        """One version of one model."""

        def answer(request_id: str) -> pb.Model:
            named = request.version_label or request.version
            with self._calls.counted("GetModel", request.model, named, request_id):
                version = convert.to_version(request.version, request.version_label)
                return convert.from_model(self._serving.model(request.model, version))

        return await grpc_calls.answered(context, self._calls, answer)

    async def _stream_answer(
        self, request: pb.ClassifyRequest, stream_id: str, deadline: float | None
    ) -> pb.ClassifyStreamResponse:
        request_id = self._calls.request_id(request.request_id or stream_id)
        try:
            response, _ = await self._classify("ClassifyStream", request, request_id, deadline)
        except ServerError as error:
            return pb.ClassifyStreamResponse(error=to_status(error, request_id), request_id=request_id)
        return pb.ClassifyStreamResponse(response=response, request_id=request_id)

    async def _classify(
        self, rpc_name: str, request: pb.ClassifyRequest, request_id: str, deadline: float | None
    ) -> tuple[pb.ClassifyResponse, timings.Seconds]:
        """The answer, and the seconds that it took by stage. Raises ServerError only."""
        with self._calls.counted(rpc_name, request.model, request.version_label or request.version, request_id):
            result = await self._serving.classify(convert.to_job(request, request_id, self._clock(), deadline))
            answers = [each.timings for each in result.results if isinstance(each, Answer)]
            return convert.from_classification(result), timings.of_call(answers)
