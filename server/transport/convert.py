"""Between protobuf messages and jobs: pure functions, no input or output."""

from google.protobuf.timestamp_pb2 import Timestamp

from proto import classifier_pb2 as pb
from server.batching.policy import Priority
from server.errors import InvalidRequestError, ServerError
from server.events import ModelState, Timings
from server.serving.jobs import (
    Answer,
    Classification,
    ClassifyJob,
    ClassIndex,
    ClassLabel,
    EncodedImage,
    Explain,
    Explanation,
    Grid,
    HeatmapFormat,
    ModelStatus,
    Prediction,
    Question,
    Rank,
    RawImage,
    Running,
    RunningTensors,
    Target,
    Version,
)
from server.transport.status import to_status
from server.transport.v2.tensors import shown
from server.transport.versions import checked_label

_FORMATS: dict[int, HeatmapFormat] = {
    pb.HEATMAP_FORMAT_UNSPECIFIED: HeatmapFormat.GRID,
    pb.HEATMAP_FORMAT_GRID: HeatmapFormat.GRID,
    pb.HEATMAP_FORMAT_HEATMAP_PNG: HeatmapFormat.HEATMAP_PNG,
    pb.HEATMAP_FORMAT_OVERLAY_PNG: HeatmapFormat.OVERLAY_PNG,
}
_STATES = {
    ModelState.LOADING: pb.MODEL_STATE_LOADING,
    ModelState.SERVING: pb.MODEL_STATE_SERVING,
    ModelState.REFUSED: pb.MODEL_STATE_REFUSED,
    ModelState.UNLOADED: pb.MODEL_STATE_UNLOADED,
    ModelState.FAILING: pb.MODEL_STATE_FAILING,
}
_PRIORITIES: dict[int, Priority] = {
    pb.PRIORITY_UNSPECIFIED: Priority.NORMAL,
    pb.PRIORITY_HIGH: Priority.HIGH,
    pb.PRIORITY_NORMAL: Priority.NORMAL,
    pb.PRIORITY_LOW: Priority.LOW,
}


def to_job(request: pb.ClassifyRequest, request_id: str, received: float, deadline: float | None) -> ClassifyJob:
    """The request as a job; raises InvalidRequestError naming the field that is wrong."""
    if not request.model:
        raise InvalidRequestError("model: empty; name a model (ListModels tells which there are)")
    explain = _explain(request.explain) if request.HasField("explain") else None
    return ClassifyJob(
        model=request.model,
        version=to_version(request.version, request.version_label),
        questions=tuple(Question(_image(image, number), explain) for number, image in enumerate(request.images)),
        top_k=request.top_k or 1,
        request_id=request_id,
        received=received,
        deadline=deadline,
        priority=_priority(request.priority),
    )


def _priority(priority: int) -> Priority:
    if priority not in _PRIORITIES:
        raise InvalidRequestError(f"priority: {priority} is not one of the enumeration; leave it out or send 1 to 3")
    return _PRIORITIES[priority]


def to_version(version: int, label: str) -> Version:
    """A version's number or label, or None for the default one. Raises InvalidRequestError when both are given, or wrong."""
    if version < 0:
        raise InvalidRequestError(f"version: {version}; versions are positive, 0 is the default one")
    if not label:
        return version or None
    if version:
        raise InvalidRequestError(f"version_label: {shown(label)}, and version {version} besides; name one of them")
    return checked_label(label, "version_label")


def _image(image: pb.Image, number: int) -> EncodedImage | RawImage:
    match image.WhichOneof("content"):
        case "encoded":
            return EncodedImage(image.encoded)
        case "pixels":
            raw = image.pixels
            return RawImage((raw.height, raw.width, raw.channels), raw.data)
        case _:
            raise InvalidRequestError(f"images[{number}]: neither `encoded` nor `pixels` is set")


def _explain(explain: pb.Explain) -> Explain:
    if explain.format not in _FORMATS:
        names = ", ".join(f"{name} = {number}" for name, number in pb.HeatmapFormat.items())
        raise InvalidRequestError(f"explain.format: {explain.format} is unknown; there are: {names}")
    targets = tuple(_target(target, number) for number, target in enumerate(explain.targets))
    return Explain(targets or (Rank(0),), _FORMATS[explain.format], explain.method)


def _target(target: pb.Target, number: int) -> Target:
    match target.WhichOneof("which"):
        case "rank":
            return Rank(target.rank)
        case "class_index":
            return ClassIndex(target.class_index)
        case "label":
            return ClassLabel(target.label)
        case _:
            raise InvalidRequestError(f"explain.targets[{number}]: none of `rank`, `class_index`, `label` is set")


def from_classification(result: Classification) -> pb.ClassifyResponse:
    """The answer as a message."""
    return pb.ClassifyResponse(
        request_id=result.request_id,
        model=result.model,
        version=result.version,
        results=[_result(each, result.request_id) for each in result.results],
    )


def _result(result: Answer | ServerError, request_id: str) -> pb.ImageResult:
    if isinstance(result, ServerError):
        return pb.ImageResult(status=to_status(result, request_id))
    return pb.ImageResult(
        status={},
        predictions=[_prediction(prediction) for prediction in result.predictions],
        explanations=[_explanation(explanation) for explanation in result.explanations],
        timings=_timings(result.timings),
    )


def _prediction(prediction: Prediction) -> pb.Prediction:
    return pb.Prediction(class_index=prediction.index, label=prediction.label, probability=prediction.probability)


def _explanation(explanation: Explanation) -> pb.Explanation:
    of, heatmap = explanation.prediction, explanation.heatmap
    message = pb.Explanation(
        class_index=of.index, label=of.label, probability=of.probability, method=explanation.method
    )
    if isinstance(heatmap, bytes):
        message.png = heatmap
    else:
        message.grid.CopyFrom(_grid(heatmap))
    return message


def _grid(grid: Grid) -> pb.Grid:
    height, width = grid.values.shape
    left, top, right, bottom = grid.box
    values = grid.values.ravel().tolist()
    return pb.Grid(height=height, width=width, values=values, left=left, top=top, right=right, bottom=bottom)


def _timings(timings: Timings) -> pb.Timings:
    return pb.Timings(
        decode_seconds=timings.decode_seconds,
        queue_seconds=timings.queue_seconds,
        infer_seconds=timings.infer_seconds,
        render_seconds=timings.render_seconds,
        total_seconds=timings.total_seconds,
        batch_images=timings.batch_images,
    )


def from_model(status: ModelStatus) -> pb.Model:
    """One version of a model as a message."""
    message = pb.Model(
        name=status.name,
        version=status.version,
        state=_STATES[status.state],
        reason=status.reason,
        is_default=status.is_default,
        version_labels=status.version_labels,
    )
    if (running := status.running) is not None:
        message.MergeFrom(_running(running))
    return message


def _running(running: Running | RunningTensors) -> pb.Model:
    """What is set while a version is in service."""
    loaded_at = Timestamp()
    loaded_at.FromNanoseconds(round(running.loaded_at * 1e9))
    message = pb.Model(
        kind="tensor",
        engine=running.engine,
        precision=running.precision,
        device=running.device,
        loaded_at=loaded_at,
        provenance=running.provenance,
    )
    if isinstance(running, Running):
        message.kind = running.kind
        message.labels.extend(running.labels)
        message.explanations.extend(running.explanations)
        message.input_height, message.input_width, message.input_channels = running.input_shape
        message.heatmap_height, message.heatmap_width = running.heatmap_shape
    return message
