"""The Open Inference Protocol over HTTP: each operation is convert, call, convert."""

from http import HTTPStatus

import msgspec

from server.errors import InvalidRequestError
from server.transport import timings
from server.transport.calls import Calls
from server.transport.http import operation, replies, v2_wire
from server.transport.http import v2_bodies as bodies
from server.transport.http.counting import refusals_counted
from server.transport.http.operation import JSON, OCTETS, OF_A_MODEL, OF_WORK, Operation, Reply, Request
from server.transport.security.access import Access, Need
from server.transport.security.http_guard import caller
from server.transport.v2.describe import PIXELS, config_parameters
from server.transport.v2.inference import OpenInference
from server.transport.v2.statistics import Duration, VersionStatistics
from server.transport.v2.values import BYTES, ModelMetadata, TensorMetadata

_HEADER_LENGTH = b"inference-header-content-length"
_MODEL = "/v2/models/{model}"
_VERSION = _MODEL + "/versions/{version}"
_NAMED = "/v2/repository/models/{model}"

_index_request = msgspec.json.Decoder(bodies.IndexRequest)
_repository_request = msgspec.json.Decoder(bodies.RepositoryRequest)


class V2:
    """The protocol's operations over its use cases."""

    def __init__(self, inference: OpenInference, calls: Calls, access: Access) -> None:
        self._inference = inference
        self._calls = calls
        self._access = access

    def operations(self) -> list[Operation]:
        """All of them."""
        return [
            Operation("serverMetadata", "GET", "/v2", "The server", self._server, {JSON: bodies.ServerBody}),
            Operation(
                *("serverLive", "GET", "/v2/health/live", "Does it work?", self._live, {JSON: bodies.LiveBody}),
                need=Need.NOTHING,
            ),
            Operation(
                *("serverReady", "GET", "/v2/health/ready", "Does it want traffic?", self._ready),
                {JSON: bodies.ReadyBody},
                not_yet=True,
                need=Need.NOTHING,
            ),
            # Before the models, because the path of a model called "stats" would be the same.
            Operation(
                *("statistics", "GET", "/v2/models/stats", "Statistics of all models", self._statistics),
                {JSON: bodies.StatisticsBody},
                rpc="ModelStatistics",
            ),
            *self._of_models(_MODEL, "Model", "a model"),
            *self._of_models(_VERSION, "Version", "a version of a model"),
            *self._of_the_repository(),
        ]

    def _of_models(self, path: str, of: str, what: str) -> list[Operation]:
        return [
            Operation(
                *(f"metadataOf{of}", "GET", path, f"Inputs and outputs of {what}", self._metadata),
                *({JSON: bodies.MetadataBody}, OF_A_MODEL),
                rpc="ModelMetadata",
            ),
            Operation(
                *(f"readinessOf{of}", "GET", f"{path}/ready", f"Does {what} answer?", self._model_ready),
                {JSON: bodies.ModelReadyBody},
                not_yet=True,
                need=Need.NOTHING,
            ),
            Operation(
                *(f"configOf{of}", "GET", f"{path}/config", f"Configuration of {what}, as Triton's tools read it"),
                *(self._config, {JSON: bodies.ConfigBody}, OF_A_MODEL),
                rpc="ModelConfig",
            ),
            Operation(
                *(f"statisticsOf{of}", "GET", f"{path}/stats", f"Statistics of {what}", self._statistics),
                *({JSON: bodies.StatisticsBody}, OF_A_MODEL),
                rpc="ModelStatistics",
            ),
            Operation(
                *(f"inferBy{of}", "POST", f"{path}/infer", f"Inference by {what}", self._infer),
                {JSON: bodies.InferReply, OCTETS: operation.BYTES},
                OF_WORK,
                body={JSON: bodies.InferBody, OCTETS: operation.BYTES},
                timed=True,
                rpc="ModelInfer",
            ),
        ]

    def _of_the_repository(self) -> list[Operation]:
        return [
            Operation(
                *("repositoryIndex", "POST", "/v2/repository/index", "Every version in the repository", self._index),
                *({JSON: list[bodies.IndexBody]}, OF_WORK),
                body={JSON: bodies.IndexRequest},
                body_required=False,
                rpc="RepositoryIndex",
            ),
            Operation(
                *("load", "POST", f"{_NAMED}/load", "Brings a model's bundles into service", self._load),
                *({JSON: bodies.Nothing}, OF_WORK),
                body={JSON: bodies.RepositoryRequest},
                body_required=False,
                need=Need.ADMIN,
                rpc="RepositoryModelLoad",
            ),
            Operation(
                *("unload", "POST", f"{_NAMED}/unload", "Takes a model out of service", self._unload),
                *({JSON: bodies.Nothing}, OF_WORK),
                body={JSON: bodies.RepositoryRequest},
                body_required=False,
                need=Need.ADMIN,
                rpc="RepositoryModelUnload",
            ),
        ]

    async def _server(self, _: Request) -> Reply:
        name, version, extensions = self._inference.server_metadata()
        return replies.json(bodies.ServerBody(name, version, list(extensions)))

    async def _live(self, _: Request) -> Reply:
        return replies.json(bodies.LiveBody(live=True))

    async def _ready(self, _: Request) -> Reply:
        ready = self._inference.is_ready()
        return replies.json(bodies.ReadyBody(ready), _ready_status(ready))

    async def _model_ready(self, request: Request) -> Reply:
        model = request.path["model"]
        ready = self._inference.model_ready(model, request.path.get("version", ""))
        return replies.json(bodies.ModelReadyBody(model, ready), _ready_status(ready))

    async def _metadata(self, request: Request) -> Reply:
        found = self._inference.model_metadata(request.path["model"], request.path.get("version", ""), request.id)
        inputs, outputs = ([_tensor(each) for each in tensors] for tensors in (found.inputs, found.outputs))
        return replies.json(
            bodies.MetadataBody(
                *(found.name, list(found.versions), found.platform, inputs, outputs), dict(found.version_labels)
            )
        )

    async def _config(self, request: Request) -> Reply:
        name, version = request.path["model"], request.path.get("version", "")
        found = self._inference.model_metadata(name, version, request.id, "ModelConfig")
        return replies.json(_config(found))

    async def _statistics(self, request: Request) -> Reply:
        found = self._inference.statistics(request.path.get("model", ""), request.path.get("version", ""), request.id)
        return replies.json(bodies.StatisticsBody([_version_statistics(each) for each in found]))

    async def _infer(self, request: Request) -> Reply:
        model, version = request.path["model"], request.path.get("version", "")
        with refusals_counted(self._calls, "ModelInfer", model, request.id):
            question, delivery = v2_wire.decode(request.body, _header_length(request), model, version)
        answer = await self._inference.infer(question, "ModelInfer", request.id, request.received, request.deadline)
        body, json_bytes = v2_wire.encode(answer, delivery)
        timing = (b"server-timing", timings.header(answer.timings).encode())
        if json_bytes is None:
            return Reply(body, headers=(timing,), compressible=True)
        return Reply(body, OCTETS, headers=(timing, (_HEADER_LENGTH, str(json_bytes).encode())), compressible=True)

    async def _index(self, request: Request) -> Reply:
        ready_only = v2_wire.from_json(_index_request, request.body or b"{}").ready
        found = self._inference.index(ready_only, request.id)
        return replies.json([bodies.IndexBody(each.name, each.version, each.state, each.reason) for each in found])

    async def _load(self, request: Request) -> Reply:
        for name in v2_wire.from_json(_repository_request, request.body or b"{}").parameters:
            if name == "config" or name.startswith("file:"):
                raise InvalidRequestError(
                    f"parameters: {name!r} is not supported; bundles are loaded as they are on disk"
                )
        await self._inference.load(request.path["model"], request.id, caller(request.scope, self._access))
        return replies.json(bodies.Nothing())

    async def _unload(self, request: Request) -> Reply:
        v2_wire.from_json(_repository_request, request.body or b"{}")
        await self._inference.unload(request.path["model"], request.id, caller(request.scope, self._access))
        return replies.json(bodies.Nothing())


def _header_length(request: Request) -> int | None:
    """The header of the binary tensor data extension. Raises InvalidRequestError when it is no number."""
    given = request.headers.get(_HEADER_LENGTH)
    if given is None:
        return None
    if not given.isdigit() or len(given) > 18:
        raise InvalidRequestError(f"inference-header-content-length: {given[:60].decode('latin-1')!r} is no length")
    return int(given)


def _ready_status(ready: bool) -> HTTPStatus:
    return HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE


def _tensor(tensor: TensorMetadata) -> bodies.TensorBody:
    return bodies.TensorBody(tensor.name, tensor.datatype, list(tensor.shape))


def _config(found: ModelMetadata) -> bodies.ConfigBody:
    return bodies.ConfigBody(
        name=found.name,
        platform=found.platform,
        backend=found.platform.removesuffix("_onnx"),
        max_batch_size=found.max_batch_size,
        input=[_config_input(each, is_image=bool(found.labels) and each.name == PIXELS) for each in found.inputs],
        output=[bodies.ConfigOutput(each.name, _data_type(each), list(each.shape[1:])) for each in found.outputs],
        dynamic_batching={},
        parameters={name: bodies.StringValue(value) for name, value in config_parameters(found).items()},
        model_transaction_policy=bodies.TransactionPolicy(decoupled=False),
    )


def _config_input(tensor: TensorMetadata, *, is_image: bool) -> bodies.ConfigInput:
    form = "FORMAT_NHWC" if is_image else "FORMAT_NONE"
    return bodies.ConfigInput(tensor.name, _data_type(tensor), form, list(tensor.shape[1:]), tensor.optional)


def _data_type(tensor: TensorMetadata) -> str:
    return "TYPE_STRING" if tensor.datatype == BYTES else f"TYPE_{tensor.datatype}"


def _version_statistics(found: VersionStatistics) -> bodies.VersionStatisticsBody:
    return bodies.VersionStatisticsBody(
        name=found.name,
        version=found.version,
        last_inference=found.last_inference_ms,
        inference_count=found.inferences,
        execution_count=found.executions,
        inference_stats=bodies.InferenceStatistics(
            success=_duration(found.success),
            fail=bodies.DurationBody(found.failed, 0),
            queue=_duration(found.queue),
            compute_input=_duration(found.compute_input),
            compute_infer=_duration(found.compute_infer),
            compute_output=_duration(found.compute_output),
        ),
        batch_stats=[bodies.BatchStatistics(size, _duration(taken)) for size, taken in sorted(found.batches.items())],
    )


def _duration(taken: Duration) -> bodies.DurationBody:
    return bodies.DurationBody(taken.count, taken.nanoseconds)
