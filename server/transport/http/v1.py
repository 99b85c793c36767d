"""Classification for a person with curl: an image in, JSON or a picture out, with the same jobs as the gRPC port.

curl --data-binary @cat.jpg 'http://localhost:8000/v1/models/pets:classify?top=3'
curl -F image=@cat.jpg -F image=@dog.jpg 'http://localhost:8000/v1/models/pets:classify'
curl --data-binary @cat.jpg -H 'accept: image/png' -o why.png 'http://localhost:8000/v1/models/pets:classify?explain=overlay'
"""

from datetime import UTC, datetime
from http import HTTPStatus

from msgspec import UNSET, UnsetType

from server.errors import ServerError
from server.serving.jobs import (
    Answer,
    Classification,
    ClassifyJob,
    ClassLabel,
    EncodedImage,
    Explain,
    Explanation,
    HeatmapFormat,
    ModelStatus,
    Question,
    Rank,
    Running,
)
from server.serving.service import Serving
from server.transport import timings, versions
from server.transport.calls import Calls
from server.transport.http import headers, multipart, query, replies
from server.transport.http.asgi import HttpError
from server.transport.http.counting import refusals_counted
from server.transport.http.operation import (
    BYTES,
    JSON,
    OCTETS,
    OF_A_MODEL,
    OF_WORK,
    PNG,
    Operation,
    Reply,
    Request,
)
from server.transport.http.v1_bodies import (
    ClassifyQuery,
    ClassifyReply,
    ExplanationBody,
    GridBody,
    ImageResultBody,
    ModelBody,
    ModelsBody,
    PredictionBody,
    VersionedClassifyQuery,
)
from server.transport.status import http_status, message

_PICTURES = (HeatmapFormat.OVERLAY_PNG, HeatmapFormat.HEATMAP_PNG)
_MODELS = "/v1/models"
_MODEL = _MODELS + "/{model}"
_VERSION = _MODEL + "/versions/{version}"
_FILES = {
    "type": "object",
    "description": "One or several files, whatever the names of their fields.",
    "properties": {"image": {"type": "array", "minItems": 1, "items": {"contentMediaType": OCTETS}}},
    "required": ["image"],
}


class V1:
    """The operations for people, over a Serving."""

    def __init__(self, serving: Serving, calls: Calls) -> None:
        self._serving = serving
        self._calls = calls

    def operations(self) -> list[Operation]:
        """All of them."""
        return [
            Operation(
                *("models", "GET", _MODELS, "Every version of every model", self._models, {JSON: ModelsBody}),
                rpc="ListModels",
            ),
            # Before the models, whose names may have a colon.
            *self._classifying(_MODEL, "classify", "the default version of a model", VersionedClassifyQuery),
            *self._classifying(_VERSION, "classifyByVersion", "a version of a model", ClassifyQuery),
            *self._describing(_MODEL, "model", "The version of a model that answers by default"),
            *self._describing(_VERSION, "modelVersion", "A version of a model"),
        ]

    def _classifying(self, path: str, name: str, by: str, asked: type[ClassifyQuery]) -> list[Operation]:
        return [
            Operation(
                *(name, "POST", f"{path}:classify", f"Classifies and explains images by {by}", self._classify),
                {JSON: ClassifyReply, PNG: BYTES},
                (*OF_WORK, HTTPStatus.NOT_ACCEPTABLE),
                query=asked,
                body={"image/*": BYTES, OCTETS: BYTES, multipart.FORM: _FILES},
                timed=True,
                rpc="Classify",
            )
        ]

    def _describing(self, path: str, name: str, summary: str) -> list[Operation]:
        return [Operation(name, "GET", path, summary, self._model, {JSON: ModelBody}, OF_A_MODEL, rpc="GetModel")]

    async def _models(self, request: Request) -> Reply:
        with self._calls.counted("ListModels", "", 0, request.id):
            return replies.json(ModelsBody([_model_body(each) for each in self._serving.models()]))

    async def _model(self, request: Request) -> Reply:
        model = request.path["model"]
        version = request.path.get("version", "")
        with self._calls.counted("GetModel", model, versions.to_count(version), request.id):
            return replies.json(_model_body(self._serving.model(model, versions.from_text(version))))

    async def _classify(self, request: Request) -> Reply:
        model = request.path["model"]
        with refusals_counted(self._calls, "Classify", model, request.id):
            version, asked = _asked(request)
            images = _images(request)
            as_png = _answers_png(request, asked, len(images))
        with self._calls.counted("Classify", model, versions.to_count(version), request.id):
            found = await self._serving.classify(_job(request, version, asked, images))
        answers = [result for result in found.results if isinstance(result, Answer)]
        timing = b"server-timing", timings.header(timings.of_call([each.timings for each in answers])).encode()
        if as_png and isinstance(png := answers[0].explanations[0].heatmap, bytes):
            return Reply(png, PNG, headers=(timing,))
        return replies.json(_classify_reply(found), headers=(timing,), compressible=True)


def _asked(request: Request) -> tuple[str, ClassifyQuery]:
    """The version, from the path or the query, and what else the query says."""
    if "version" in request.path:
        return request.path["version"], query.read(request.query, ClassifyQuery)
    versioned = query.read(request.query, VersionedClassifyQuery)
    return versioned.version, versioned


def _images(request: Request) -> list[bytes]:
    content_type = request.headers.get(b"content-type", b"")
    return multipart.files(request.body, content_type) if multipart.is_form(content_type) else [request.body]


def _answers_png(request: Request, asked: ClassifyQuery, images: int) -> bool:
    """Whether the answer is the picture itself. Raises HttpError 406 when nothing but that is accepted and it cannot be."""
    accepted = headers.media_types(request.headers)
    if accepted.isdisjoint({b"image/png", b"image/*"}):
        return False
    if asked.explain in _PICTURES and images == 1 and len(asked.classes) <= 1:
        return True
    if accepted.isdisjoint({b"*/*", b"application/*", JSON.encode()}):
        raise HttpError(
            HTTPStatus.NOT_ACCEPTABLE,
            "accept: the answer is a picture only of one image and class with explain=overlay or explain=heatmap; "
            "ask for that, or accept application/json",
        )
    return False


def _job(request: Request, version: str, asked: ClassifyQuery, images: list[bytes]) -> ClassifyJob:
    explain = _explain(asked)
    return ClassifyJob(
        model=request.path["model"],
        version=versions.from_text(version),
        questions=tuple(Question(EncodedImage(image), explain) for image in images),
        top_k=asked.top,
        request_id=request.id,
        received=request.received,
        deadline=request.deadline,
        priority=asked.priority,
    )


def _explain(asked: ClassifyQuery) -> Explain | None:
    form = HeatmapFormat.GRID if isinstance(asked.explain, UnsetType) else asked.explain
    if asked.explain is UNSET and not asked.classes and not asked.method:
        return None
    return Explain(tuple(map(ClassLabel, asked.classes)) or (Rank(0),), form, asked.method)


def _classify_reply(found: Classification) -> ClassifyReply:
    results = [_result(each, found.request_id) for each in found.results]
    return ClassifyReply(found.request_id, found.model, found.version, results)


def _result(result: Answer | ServerError, request_id: str) -> ImageResultBody:
    if isinstance(result, ServerError):
        return ImageResultBody(error=message(result, request_id), status=http_status(result))
    return ImageResultBody(
        predictions=[PredictionBody(each.index, each.label, each.probability) for each in result.predictions],
        explanations=[_explanation(each) for each in result.explanations],
        timings=result.timings,
    )


def _explanation(explanation: Explanation) -> ExplanationBody:
    of, heatmap = explanation.prediction, explanation.heatmap
    body = ExplanationBody(of.index, of.label, of.probability, explanation.method)
    if isinstance(heatmap, bytes):
        body.png = heatmap
    else:
        body.grid = GridBody(heatmap.values.tolist(), *heatmap.box)
    return body


def _model_body(status: ModelStatus) -> ModelBody:
    told = (status.name, status.version, status.state, status.is_default, status.reason)
    body = ModelBody(*told, list(status.version_labels))
    running = status.running
    if running is None:
        return body
    body.kind, body.provenance = "tensor", running.provenance
    body.engine, body.precision, body.device = running.engine, running.precision, running.device
    body.loaded_at = datetime.fromtimestamp(running.loaded_at, UTC)
    if isinstance(running, Running):
        body.kind = running.kind
        body.labels, body.explanations = list(running.labels), list(running.explanations)
        body.input_shape, body.heatmap_shape = list(running.input_shape), list(running.heatmap_shape)
    return body
