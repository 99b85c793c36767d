"""The synchronous client: safe to use from many threads at once."""

import threading
from collections.abc import Generator, Iterable, Iterator, Mapping
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


class Client:
    """Talks to one server, or to many behind one name. Use it in a `with` block, or call `close`.

    target       host:port, or any name that gRPC resolves. Every address behind it gets its share of the calls while it
                 is in service, as behind a headless service of Kubernetes (dns:///name:8001) or in a list
                 (ipv4:10.0.0.1:8001,10.0.0.2:8001); a name is looked up again when a connection ends.
    timeout      seconds that one call may take, retries included; they reach the server as the call's deadline
    retries      how often a call is tried again when no server is there, or the server is full and says when to come back.
                 The waits between are the server's (google.rpc.RetryInfo), or else random and growing; a call whose
                 deadline comes first fails at once. gRPC's own retries would not do: see calls.seconds_before_retry.
    compression  of requests: grpc.Compression.Gzip makes raw pixels smaller, picture files hardly
    tls          the connection is encrypted, and the server proves who it is: see Tls. Its files are read now, which raises OSError
                 or ValueError.
    token        sent with each call as `authorization: Bearer TOKEN`; a function is asked for it each time, so that it can change
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
        self._closed = threading.Event()
        self._token = token
        self._balanced = _channel(target, tls, calls.balanced(), compression)
        self._direct = _channel(target, tls, calls.direct(), compression)
        self._classifier = ImageClassifierStub(self._balanced)
        self._catalogue = ImageClassifierStub(self._direct)
        self._arrays = GRPCInferenceServiceStub(self._balanced)
        self._health = HealthStub(self._balanced)

    def classify(
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
        """Classifies `images` in one call; `version` is a number, or a label such as "canary", 0 the one that answers by default.

        An image that the server could not answer has its error in its result. Raises ClassifyError when the whole call
        failed (when no image got an answer, with the error of the first), OSError for a file that cannot be read, and
        TypeError or ValueError for an image or a request id (printable ASCII; also sent as `x-request-id`) that cannot be
        sent.
        """
        along = calls.metadata(self._token, request_id, priority)
        request = convert.to_request(images, model, version, top_k, explain, request_id, priority)
        return convert.from_response(self._call(self._classifier.Classify, request, along))

    def classify_stream(
        self, requests: Iterable[convert.Request], *, timeout: float | None = None
    ) -> Generator[StreamAnswer, None, None]:
        """Answers to `requests` in their order; several are in work at once, all on one server.

        `requests` is read in another thread, ahead of the answers. A request that the server could not answer becomes an
        error in its place. One that cannot be sent (see `classify`), or an exception of `requests`, is raised in its place.
        Raises ClassifyError when the stream broke, or took longer than `timeout` seconds (without it, it may go on for
        ever): nothing is tried again by itself, but what has been answered is answered.
        """
        failures: list[Exception] = []
        along = calls.metadata(self._token)
        stream = self._classifier.ClassifyStream(_messages(requests, failures), timeout=timeout, metadata=along)
        try:
            for answer in stream:
                yield convert.from_stream(answer)
        except grpc.RpcError as error:
            raise from_rpc(error) from error
        finally:
            stream.cancel()
        if failures:
            raise failures[0]

    def models(self) -> list[ModelInfo]:
        """Every version of every model on one server, in service or not, refused ones included. Raises ClassifyError."""
        answer = self._call(self._catalogue.ListModels, pb.ListModelsRequest(), calls.metadata(self._token))
        return list(map(convert.from_model, answer.models))

    def get_model(self, model: str, version: int | str = 0) -> ModelInfo:
        """One version of a model by its number or label, the one that answers by default for 0. Raises ClassifyError."""
        request = convert.to_model_request(model, version)
        return convert.from_model(self._call(self._catalogue.GetModel, request, calls.metadata(self._token)))

    def infer(self, inputs: Mapping[str, Array], model: str, *, version: int | str = 0) -> dict[str, Array]:
        """Sends a batch of rows to a model that takes arrays, and returns its outputs by name (Open Inference Protocol).

        All arrays have the batch as their first axis. Raises ClassifyError, and ValueError for a type that cannot be sent.
        """
        request = tensors.to_infer_request(inputs, model, version)
        answer = self._call(self._arrays.ModelInfer, request, calls.metadata(self._token))
        return tensors.from_infer_response(answer)

    def tensor_model(self, model: str, version: int | str = 0) -> TensorModel:
        """What a model takes and gives as arrays; for one in service only. Raises ClassifyError."""
        request = tensors.to_config_request(model, version)
        return tensors.from_config(self._call(self._arrays.ModelConfig, request, calls.metadata(self._token)))

    def ready(self, model: str = "") -> bool:
        """Whether a server, and `model` on it if one is named, takes calls now; asks once. Raises ClassifyError when the
        server has no grpc.health.v1 to ask."""
        try:
            check = self._health.Check  # type: ignore[attr-defined]  # missing in the types
            along = calls.metadata(self._token)
            answer = check(HealthCheckRequest(service=model), timeout=self._timeout, metadata=along)
        except grpc.RpcError as error:
            failure = from_rpc(error)
            if failure.code in calls.NOT_READY:
                return False
            raise failure from error
        return bool(answer.status == HealthCheckResponse.SERVING)

    def close(self) -> None:
        """Cancels what is in work, ends the waits before retries, and closes the connections."""
        self._closed.set()
        self._balanced.close()
        self._direct.close()

    def _call(self, method: "grpc.UnaryUnaryMultiCallable[Q, A]", request: Q, metadata: calls.Metadata) -> A:
        tries = calls.Tries(self._timeout, self._retries)
        while True:
            try:
                return method(request, timeout=tries.seconds_left(), metadata=metadata)
            except grpc.RpcError as error:
                failure = from_rpc(error)
                wait = tries.wait_after(failure)
                if wait is None or self._closed.wait(wait):
                    raise failure from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _channel(target: str, tls: Tls | None, wanted: calls.ChannelOptions, compression: grpc.Compression) -> grpc.Channel:
    """Raises OSError or ValueError for files that cannot be used."""
    if tls is None:
        return grpc.insecure_channel(target, wanted, compression)
    return grpc.secure_channel(target, credentials(tls), (*wanted, *options(tls)), compression)


def _messages(requests: Iterable[convert.Request], failures: list[Exception]) -> Iterator[pb.ClassifyRequest]:
    """Ends at the first failure and keeps it: raised in gRPC's thread it would be logged there and break the stream."""
    try:
        for request in requests:
            yield convert.to_request(*request)
    except Exception as error:  # noqa: BLE001  # whatever it is, it is raised where the answers are read
        failures.append(error)
