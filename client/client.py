"""A synchronous client: one channel, safe to use from many threads at once."""

from collections.abc import Iterable
from types import TracebackType
from typing import Self

import grpc

from client import convert
from client.errors import from_rpc
from client.results import Classification, Explain, ModelInfo
from proto import classifier_pb2 as pb
from proto.classifier_pb2_grpc import ImageClassifierStub

DEFAULT_TARGET = "127.0.0.1:8001"
# gRPC's own limit of 4 MiB is less than a handful of overlays of photographs.
MAX_RESPONSE_BYTES = 256 << 20


class Client:
    """Talks to one server. Use it in a `with` block, or call `close`.

    target   host:port, or any name that gRPC resolves
    timeout  seconds that one call may take; it reaches the server as the call's deadline
    """

    def __init__(self, target: str = DEFAULT_TARGET, *, timeout: float = 30.0) -> None:
        self.target = target
        self._timeout = timeout
        self._channel = grpc.insecure_channel(target, options=[("grpc.max_receive_message_length", MAX_RESPONSE_BYTES)])
        self._stub = ImageClassifierStub(self._channel)

    def classify(
        self,
        images: Iterable[convert.ImageInput],
        model: str,
        *,
        version: int = 0,
        top_k: int = 1,
        explain: Explain | None = None,
        request_id: str = "",
    ) -> Classification:
        """Classifies `images` in one call; version 0 is the highest one in service.

        An image that the server could not answer has its error in its result. Raises ClassifyError when the whole call
        failed (when no image got an answer, with the error of the first), OSError for a file that cannot be read, and
        TypeError or ValueError for an image that cannot be sent.
        """
        request = convert.to_request(images, model, version, top_k, explain, request_id)
        try:
            return convert.from_response(self._stub.Classify(request, timeout=self._timeout))
        except grpc.RpcError as error:
            raise from_rpc(error) from error

    def models(self) -> list[ModelInfo]:
        """Every version of every model on the server, refused ones included. Raises ClassifyError."""
        try:
            response = self._stub.ListModels(pb.ListModelsRequest(), timeout=self._timeout)
        except grpc.RpcError as error:
            raise from_rpc(error) from error
        return [convert.from_model(model) for model in response.models]

    def get_model(self, model: str, version: int = 0) -> ModelInfo:
        """One version of a model, the highest one in service for version 0. Raises ClassifyError."""
        request = pb.GetModelRequest(model=model, version=version)
        try:
            return convert.from_model(self._stub.GetModel(request, timeout=self._timeout))
        except grpc.RpcError as error:
            raise from_rpc(error) from error

    def close(self) -> None:
        """Cancels what is in work and closes the connection."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
