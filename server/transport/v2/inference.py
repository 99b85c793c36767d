"""The use cases of the Open Inference Protocol, for every transport.

Names, versions and tensors are checked here and in the modules below; a transport only reads and writes its own encoding.
"""

from collections.abc import Callable, Sequence

from server import __version__
from server.errors import InvalidImageError, InvalidRequestError, ModelNotFoundError
from server.events import ModelState
from server.serving.jobs import ModelStatus, PixelsJob, Running, RunningTensors, TensorAnswer, Version
from server.serving.service import Serving
from server.tally import Tally
from server.transport import timings, versions
from server.transport.calls import Calls
from server.transport.security.access import Caller
from server.transport.security.audit import audited
from server.transport.v2 import describe, parameters, requests, responses
from server.transport.v2.requests import Frame
from server.transport.v2.statistics import VersionStatistics, statistics
from server.transport.v2.values import IndexEntry, InferRequest, InferResponse, ModelMetadata

SERVER = "seethrough"
EXTENSIONS = (
    "binary_tensor_data",
    "classification",
    "model_configuration",
    "model_repository",
    "schedule_policy",
    "statistics",
)
_STATES = {ModelState.SERVING: "READY", ModelState.LOADING: "LOADING"}


class OpenInference:
    """The protocol over a Serving. Every method that takes a model raises ServerErrors only."""

    def __init__(self, serving: Serving, calls: Calls, tally: Tally, is_ready: Callable[[], bool]) -> None:
        """`is_ready` tells whether the server wants traffic."""
        self._serving = serving
        self._calls = calls
        self._is_ready = is_ready
        self._tally = tally

    def server_metadata(self) -> tuple[str, str, tuple[str, ...]]:
        """Name and version of the server, and the extensions that it has."""
        return SERVER, __version__, EXTENSIONS

    def is_ready(self) -> bool:
        """Whether the server wants traffic."""
        return self._is_ready()

    def model_ready(self, name: str, version: str) -> bool:
        """Whether a version answers now; without `version`, whether one does that need not be named."""
        try:
            return self._serving.model(name, versions.from_text(version)).running is not None
        except (ModelNotFoundError, InvalidRequestError):
            return False

    def model_metadata(self, name: str, version: str, request_id: str, rpc: str = "ModelMetadata") -> ModelMetadata:
        """Inputs, outputs and versions of a model in service; counted as a call of `rpc`."""
        with self._calls.counted(rpc, name, versions.to_count(version), request_id):
            status, running = self._in_service(name, version)
            served = [each for each in self._serving.models() if each.name == name and each.running is not None]
            return describe.metadata(status, running, served)

    def statistics(self, name: str, version: str, request_id: str) -> list[VersionStatistics]:
        """Of one version in service, of all of one model, or with an empty `name` of all models."""
        with self._calls.counted("ModelStatistics", name, versions.to_count(version), request_id):
            if version:
                found = [self._in_service(name, version)[0]]
            else:
                if name:
                    self._in_service(name, version)
                served = (each for each in self._serving.models() if each.running is not None)
                found = [each for each in served if name in ("", each.name)]
            return [statistics(self._tally.of(each.name, str(each.version))) for each in found]

    async def infer(
        self, request: InferRequest, rpc: str, request_id: str, received: float, deadline: float | None
    ) -> InferResponse:
        """Answers a request; counted as a call of `rpc`. `received` and `deadline` are seconds on the server's clock."""
        with self._calls.counted(rpc, request.model, versions.to_count(request.version), request_id):
            priority = parameters.priority(request.parameters)
            deadline = parameters.shortened(deadline, received, request.parameters)
            version = versions.from_text(request.version)
            running = self._running(request.model, version)
            frame = Frame(version, request_id, received, deadline, priority, self._serving.max_images)
            if isinstance(running, RunningTensors):
                return await self._infer_tensors(request, running, frame)
            return await self._classify(request, running, frame)

    def index(self, ready_only: bool, request_id: str) -> list[IndexEntry]:
        """Every version in the repository, or only those in service, by name and number."""
        with self._calls.counted("RepositoryIndex", "", 0, request_id):
            return [
                IndexEntry(each.name, str(each.version), _STATES.get(each.state, "UNAVAILABLE"), each.reason)
                for each in self._serving.models()
                if each.running is not None or not ready_only
            ]

    async def load(self, name: str, request_id: str, caller: Caller) -> None:
        """Brings a model's bundles from disk into service, replacing those that have changed."""
        call = "RepositoryModelLoad"
        with audited(call, name, request_id, caller), self._calls.counted(call, name, 0, request_id):
            await self._serving.load(name)

    async def unload(self, name: str, request_id: str, caller: Caller) -> None:
        """Takes every version of a model out of service, after its answers."""
        call = "RepositoryModelUnload"
        with audited(call, name, request_id, caller), self._calls.counted(call, name, 0, request_id):
            await self._serving.unload(name)

    async def _classify(self, request: InferRequest, running: Running, frame: Frame) -> InferResponse:
        job = requests.classifier_job(request, running, frame)
        if isinstance(job, PixelsJob):
            return _response(request, await self._serving.classify_pixels(job), running.labels)
        try:
            classification = await self._serving.classify(job)
        except InvalidImageError as error:  # no image got an answer: the first one's reason
            raise responses.naming(error, 0, len(job.questions)) from error
        found = responses.answers(classification)
        return InferResponse(
            model=classification.model,
            version=str(classification.version),
            id=request.id,
            outputs=responses.outputs(responses.classifier_arrays(found), request.outputs, running.labels),
            timings=timings.of_call([each.timings for each in found]),
        )

    async def _infer_tensors(self, request: InferRequest, running: RunningTensors, frame: Frame) -> InferResponse:
        return _response(request, await self._serving.infer(requests.tensor_job(request, running, frame)), ())

    def _running(self, name: str, version: Version) -> Running | RunningTensors:
        """Raises ModelNotFoundError, or UnavailableError with the reason."""
        if not name:
            raise InvalidRequestError("the model's name is empty; the repository's index tells which models there are")
        return self._serving.running(name, version)

    def _in_service(self, name: str, version: str) -> tuple[ModelStatus, Running | RunningTensors]:
        number = versions.from_text(version)
        running = self._running(name, number)
        return self._serving.model(name, number), running


def _response(request: InferRequest, answer: TensorAnswer, labels: Sequence[str]) -> InferResponse:
    return InferResponse(
        model=answer.model,
        version=str(answer.version),
        id=request.id,
        outputs=responses.outputs(answer.outputs, request.outputs, labels),
        timings=answer.timings.by_stage(),
    )
