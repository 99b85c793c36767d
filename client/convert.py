"""Between plain values and protobuf messages: pure functions, apart from reading the picture files that are named."""

import io
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from client.errors import from_status
from client.results import (
    Classification,
    Explain,
    Explanation,
    HeatmapFormat,
    ImageResult,
    ModelInfo,
    ModelState,
    Prediction,
    Priority,
    Rank,
    StreamAnswer,
    Timings,
)
from proto import classifier_pb2 as pb

# A picture file by its path or its bytes, a Pillow image, or uint8 pixels [H, W, C] of exactly the model's input shape.
ImageInput = str | Path | bytes | Image.Image | NDArray[np.uint8]


class Request(NamedTuple):
    """One request of a stream; the fields are the parameters of Client.classify."""

    images: Iterable[ImageInput]
    model: str
    version: int | str = 0
    top_k: int = 1
    explain: Explain | None = None
    request_id: str = ""
    priority: Priority = Priority.NORMAL


_FORMATS = {
    HeatmapFormat.GRID: pb.HEATMAP_FORMAT_GRID,
    HeatmapFormat.HEATMAP_PNG: pb.HEATMAP_FORMAT_HEATMAP_PNG,
    HeatmapFormat.OVERLAY_PNG: pb.HEATMAP_FORMAT_OVERLAY_PNG,
}
_STATES = {
    pb.MODEL_STATE_LOADING: ModelState.LOADING,
    pb.MODEL_STATE_SERVING: ModelState.SERVING,
    pb.MODEL_STATE_REFUSED: ModelState.REFUSED,
    pb.MODEL_STATE_UNLOADED: ModelState.UNLOADED,
    pb.MODEL_STATE_FAILING: ModelState.FAILING,
}
_PRIORITIES = {
    Priority.HIGH: pb.PRIORITY_HIGH,
    Priority.NORMAL: pb.PRIORITY_NORMAL,
    Priority.LOW: pb.PRIORITY_LOW,
}
_PNG_MODES = {"1", "L", "LA", "P", "RGB", "RGBA", "I;16"}


def to_request(
    images: Iterable[ImageInput],
    model: str,
    version: int | str,
    top_k: int,
    explain: Explain | None,
    request_id: str,
    priority: Priority = Priority.NORMAL,
) -> pb.ClassifyRequest:
    """The request message. Raises OSError for a file that cannot be read, TypeError or ValueError for other inputs."""
    number, label = number_and_label(version)
    return pb.ClassifyRequest(
        model=model,
        version=number,
        version_label=label,
        images=[to_image(image) for image in images],
        top_k=top_k,
        explain=None if explain is None else _to_explain(explain),
        request_id=request_id,
        priority=_PRIORITIES[priority],
    )


def number_and_label(version: int | str) -> tuple[int, str]:
    """A version as requests name it: its number, or what it is called."""
    return (0, version) if isinstance(version, str) else (version, "")


def to_model_request(model: str, version: int | str) -> pb.GetModelRequest:
    """The question about one version of a model."""
    number, label = number_and_label(version)
    return pb.GetModelRequest(model=model, version=number, version_label=label)


def to_image(image: ImageInput) -> pb.Image:
    """One image as a message; raises like `to_request`."""
    match image:
        case str() | Path():
            return pb.Image(encoded=Path(image).read_bytes())
        case bytes():
            return pb.Image(encoded=image)
        case Image.Image():
            return pb.Image(encoded=_png(image))
        case np.ndarray():
            return pb.Image(pixels=_pixels(image))
    raise TypeError(f"an image is a path, bytes, a Pillow image or a uint8 array, not {type(image).__name__}")


def _png(image: Image.Image) -> bytes:
    """Without loss, and with the EXIF block, so that an image opened from a file is answered like the file."""
    if image.mode not in _PNG_MODES:
        raise ValueError(f"a Pillow image of mode {image.mode} cannot be sent as it is; convert it to RGB first")
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1, exif=image.getexif())
    return buffer.getvalue()


def _pixels(array: NDArray[np.uint8]) -> pb.RawPixels:
    if array.dtype != np.uint8 or array.ndim != 3:
        raise ValueError(f"pixels are uint8 [height, width, channels], not {array.dtype} {list(array.shape)}")
    height, width, channels = array.shape
    return pb.RawPixels(height=height, width=width, channels=channels, data=array.tobytes())


def _to_explain(explain: Explain) -> pb.Explain:
    targets = [_to_target(target) for target in explain.targets]
    return pb.Explain(targets=targets, format=_FORMATS[explain.format], method=explain.method)


def _to_target(target: str | int | Rank) -> pb.Target:
    match target:
        case Rank(rank):
            return pb.Target(rank=rank)
        case str():
            return pb.Target(label=target)
        case int():
            return pb.Target(class_index=target)


def from_response(response: pb.ClassifyResponse) -> Classification:
    """The answer to a call."""
    results = tuple(_from_result(result) for result in response.results)
    return Classification(response.request_id, response.model, response.version, results)


def from_stream(message: pb.ClassifyStreamResponse) -> StreamAnswer:
    """The answer to one request of a stream."""
    if message.WhichOneof("outcome") == "error":
        return StreamAnswer(message.request_id, error=from_status(message.error))
    return StreamAnswer(message.request_id, from_response(message.response))


def _from_result(result: pb.ImageResult) -> ImageResult:
    if result.status.code:
        return ImageResult(error=from_status(result.status))
    timings = result.timings
    return ImageResult(
        predictions=tuple(Prediction(each.label, each.class_index, each.probability) for each in result.predictions),
        explanations=tuple(_from_explanation(each) for each in result.explanations),
        timings=Timings(
            timings.decode_seconds,
            timings.queue_seconds,
            timings.infer_seconds,
            timings.render_seconds,
            timings.total_seconds,
            timings.batch_images,
        ),
    )


def _from_explanation(message: pb.Explanation) -> Explanation:
    of = message.label, message.class_index, message.probability, message.method
    if message.WhichOneof("heatmap") == "png":
        return Explanation(*of, png=message.png)
    grid = np.array(message.grid.values, np.float32).reshape(message.grid.height, message.grid.width)
    box = (message.grid.left, message.grid.top, message.grid.right, message.grid.bottom)
    return Explanation(*of, grid=grid, box=box)


def from_model(model: pb.Model) -> ModelInfo:
    """One version of a model."""
    return ModelInfo(
        name=model.name,
        version=model.version,
        state=_STATES.get(model.state, ModelState.UNKNOWN),
        reason=model.reason,
        is_default=model.is_default,
        version_labels=tuple(model.version_labels),
        kind=model.kind,
        labels=tuple(model.labels),
        explanations=tuple(model.explanations),
        input_shape=(model.input_height, model.input_width, model.input_channels),
        heatmap_shape=(model.heatmap_height, model.heatmap_width),
        engine=model.engine,
        precision=model.precision,
        device=model.device,
        provenance=dict(model.provenance),
    )
