"""A gRPC server that answers like the real one and can be told to fail: the model `colours` names the main colour."""

import io
import threading
import typing
from collections import deque
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager
from pathlib import Path

import grpc
import numpy as np
from google.protobuf.any_pb2 import Any
from google.rpc.code_pb2 import INVALID_ARGUMENT, NOT_FOUND, RESOURCE_EXHAUSTED
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from grpc_health.v1 import health_pb2
from grpc_health.v1.health import HealthServicer
from grpc_health.v1.health_pb2_grpc import add_HealthServicer_to_server
from grpc_status import rpc_status
from PIL import Image, UnidentifiedImageError

from proto import classifier_pb2 as pb
from proto.classifier_pb2_grpc import ImageClassifierServicer, add_ImageClassifierServicer_to_server

LABELS = ("red", "green", "blue")
METHODS = ("gradcam", "layercam")
SIDE = 8  # of the model's input
# What stands here for a picture that keeps the server busy until the test ends.
SLOW = b"slow"
# What stands here for a picture whose overlay takes LARGE_BYTES.
LARGE, LARGE_BYTES = b"large", 8 << 20


class FakeServer(ImageClassifierServicer):
    """Keeps the requests that it received, and fails as often as `failures` says."""

    def __init__(self) -> None:
        self.token = ""  # what calls must come with
        self.requests: list[pb.ClassifyRequest] = []
        self.headers: list[dict[str, str | bytes]] = []  # of each Classify call
        self.failures: deque[Status] = deque()  # how the next Classify calls end
        self.asked = threading.Event()  # a request has arrived
        self.ended = threading.Event()
        self.stuck = threading.Event()  # a slow picture has arrived
        self._health = HealthServicer()
        self.set_serving("", serving=True)
        self.set_serving("colours", serving=True)

    def set_serving(self, service: str, *, serving: bool) -> None:
        """What grpc.health.v1 says of a service."""
        status = health_pb2.HealthCheckResponse
        self._health.set(service, status.SERVING if serving else status.NOT_SERVING)

    def add_to(self, server: grpc.Server) -> None:
        """Registers the services."""
        add_ImageClassifierServicer_to_server(self, server)
        add_HealthServicer_to_server(self._health, server)

    def Classify(self, request: pb.ClassifyRequest, context: grpc.ServicerContext) -> pb.ClassifyResponse:  # noqa: N802
        """Answers `colours`."""
        self.headers.append(dict(context.invocation_metadata()))
        answer = self._outcome(request)
        if answer.WhichOneof("outcome") == "error":
            context.abort_with_status(rpc_status.to_status(answer.error))
        return answer.response

    def ListModels(  # noqa: N802
        self,
        request: pb.ListModelsRequest,  # noqa: ARG002
        context: grpc.ServicerContext,  # noqa: ARG002
    ) -> pb.ListModelsResponse:
        """One model in service, one refused."""
        return pb.ListModelsResponse(models=[colours(), broken()])

    def GetModel(self, request: pb.GetModelRequest, context: grpc.ServicerContext) -> pb.Model:  # noqa: N802
        """Either of the two."""
        if request.model == "broken":
            return broken()
        self._require_model(request.model, context)
        if request.version_label not in ("", "best"):
            context.abort(grpc.StatusCode.NOT_FOUND, f"no label {request.version_label!r}; there is best")
        return colours()

    def ClassifyStream(  # noqa: N802
        self,
        request_iterator: Iterator[pb.ClassifyRequest],
        context: grpc.ServicerContext,
    ) -> Iterator[pb.ClassifyStreamResponse]:
        """Answers one request after the other; breaks at one for the model `shutdown`."""
        for request in request_iterator:
            if request.model == "shutdown":
                context.abort(grpc.StatusCode.UNAVAILABLE, "the server is shutting down; go on with another one")
            yield self._outcome(request)

    def _require_model(self, name: str, context: grpc.ServicerContext) -> None:
        if name != "colours":
            context.abort(grpc.StatusCode.NOT_FOUND, _no_model(name))

    def _outcome(self, request: pb.ClassifyRequest) -> pb.ClassifyStreamResponse:
        self.requests.append(request)
        self.asked.set()
        if self.failures:
            return pb.ClassifyStreamResponse(error=self.failures.popleft(), request_id=request.request_id)
        if request.model != "colours":
            error = Status(code=NOT_FOUND, message=_no_model(request.model))
            return pb.ClassifyStreamResponse(error=error, request_id=request.request_id)
        results = [self._answer(image, request) for image in request.images]
        if all(result.status.code for result in results):
            return pb.ClassifyStreamResponse(error=results[0].status, request_id=request.request_id)
        response = pb.ClassifyResponse(request_id=request.request_id, model=request.model, version=3, results=results)
        return pb.ClassifyStreamResponse(response=response, request_id=request.request_id)

    def _answer(self, image: pb.Image, request: pb.ClassifyRequest) -> pb.ImageResult:
        if image.encoded == SLOW:
            self.stuck.set()
            self.ended.wait()
        if image.encoded == LARGE:
            return pb.ImageResult(explanations=[pb.Explanation(png=bytes(LARGE_BYTES))])
        try:
            pixels = _pixels(image)
        except UnidentifiedImageError:
            return pb.ImageResult(status=Status(code=INVALID_ARGUMENT, message=f"no picture: {image.encoded[:12]!r}"))
        shares = pixels.reshape(-1, 3).mean(0) / 255
        ranked = [int(index) for index in np.argsort(-shares, kind="stable")]
        return pb.ImageResult(
            status=Status(),
            predictions=[_prediction(index, shares) for index in ranked[: request.top_k or 1]],
            explanations=[_explanation(target, ranked, shares, request) for target in _targets(request)],
            timings=pb.Timings(decode_seconds=0.001, infer_seconds=0.002, total_seconds=0.0031, batch_images=2),
        )


def _no_model(name: str) -> str:
    return f"no model {name!r}; there is colours"


def _pixels(image: pb.Image) -> np.ndarray:
    if image.WhichOneof("content") == "pixels":
        raw = image.pixels
        return np.frombuffer(raw.data, np.uint8).reshape(raw.height, raw.width, raw.channels)
    return np.asarray(Image.open(io.BytesIO(image.encoded)).convert("RGB"))


def _prediction(index: int, shares: np.ndarray) -> pb.Prediction:
    return pb.Prediction(class_index=index, label=LABELS[index], probability=shares[index])


def _targets(request: pb.ClassifyRequest) -> list[pb.Target]:
    if not request.HasField("explain"):
        return []
    return list(request.explain.targets) or [pb.Target(rank=0)]


def _explanation(
    target: pb.Target, ranked: list[int], shares: np.ndarray, request: pb.ClassifyRequest
) -> pb.Explanation:
    index = {
        "rank": lambda: ranked[target.rank],
        "class_index": lambda: target.class_index,
        "label": lambda: LABELS.index(target.label),
    }[target.WhichOneof("which") or "rank"]()
    message = pb.Explanation(
        class_index=index, label=LABELS[index], probability=shares[index], method=request.explain.method or METHODS[0]
    )
    if request.explain.format == pb.HEATMAP_FORMAT_OVERLAY_PNG:
        buffer = io.BytesIO()
        Image.new("RGB", (32, 24), LABELS[index]).save(buffer, "PNG")
        message.png = buffer.getvalue()
    else:
        # 2 x 4 cells, the strongest at the lower left; nothing for a colour that is not there.
        values = [0, 0, 0, 0, 1, 0.5, 0, 0] if shares[index] else [0] * 8
        message.grid.CopyFrom(pb.Grid(height=2, width=4, values=values, right=16, bottom=12))
    return message


def full(seconds: float = 1.5) -> Status:
    """RESOURCE_EXHAUSTED with RetryInfo."""
    retry = RetryInfo()
    retry.retry_delay.FromNanoseconds(round(seconds * 1e9))
    detail = Any()
    detail.Pack(retry)
    return Status(code=RESOURCE_EXHAUSTED, message="the server is full", details=[detail])


def colours() -> pb.Model:
    """The model in service."""
    return pb.Model(
        name="colours",
        version=3,
        state=pb.MODEL_STATE_SERVING,
        is_default=True,
        version_labels=["best"],
        kind="multiclass",
        labels=LABELS,
        explanations=METHODS,
        input_height=SIDE,
        input_width=SIDE,
        input_channels=3,
        heatmap_height=2,
        heatmap_width=4,
        engine="fake",
        precision="fp32",
        device="cpu",
        provenance={"run": "runs/colours"},
    )


def broken() -> pb.Model:
    """The model that was refused."""
    return pb.Model(
        name="broken", version=1, state=pb.MODEL_STATE_REFUSED, reason="broken/1/model.onnx: changed since export"
    )


Handler: typing.TypeAlias = "grpc.RpcMethodHandler[typing.Any, typing.Any] | None"  # generic for the type checker only


class _AsksForToken(grpc.ServerInterceptor):
    """Refuses what does not come with the token of the server, if it has one; health needs none."""

    def __init__(self, fake: FakeServer) -> None:
        self._fake = fake

    def intercept_service(
        self, continuation: Callable[[grpc.HandlerCallDetails], Handler], handler_call_details: grpc.HandlerCallDetails
    ) -> Handler:
        """Called by gRPC for each call."""
        wanted = ("authorization", f"Bearer {self._fake.token}")
        is_open = handler_call_details.method.startswith("/grpc.health.v1.Health/") or not self._fake.token
        if is_open or wanted in handler_call_details.invocation_metadata:
            return continuation(handler_call_details)
        return grpc.stream_stream_rpc_method_handler(_unauthenticated)


def _unauthenticated(_: Iterator[bytes], context: grpc.ServicerContext) -> None:
    context.abort(grpc.StatusCode.UNAUTHENTICATED, "the token is not known here, or no more")


@contextmanager
def running(credentials: grpc.ServerCredentials | None = None) -> Iterator[tuple[FakeServer, str]]:
    """A FakeServer and its address, with TLS when there are credentials; no call outlives the block."""
    fake = FakeServer()
    server = grpc.server(futures.ThreadPoolExecutor(8), interceptors=[_AsksForToken(fake)])
    fake.add_to(server)
    if credentials is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    try:
        yield fake, f"127.0.0.1:{port}"
    finally:
        fake.ended.set()
        server.stop(None).wait()


def picture(folder: Path, name: str, colour: str, size: tuple[int, int] = (16, 12)) -> Path:
    """Writes a picture of one colour and returns its path."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path
