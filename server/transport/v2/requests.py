"""Requests of the protocol as jobs of the serving layer: every check that needs the model, and the conversion."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from server.errors import InvalidRequestError
from server.serving.explain import MAX_TARGETS
from server.serving.jobs import (
    ClassifyJob,
    ClassIndex,
    EncodedImage,
    Explain,
    HeatmapFormat,
    Question,
    Rank,
    RawImage,
    Running,
    RunningTensors,
    TensorJob,
)
from server.transport.v2 import describe, parameters, tensors
from server.transport.v2.describe import HEATMAPS, IMAGE, PIXELS, TARGETS, Tensors
from server.transport.v2.values import InferRequest, InputTensor, RequestedOutput

Arrays = Mapping[str, NDArray[np.generic]]

_TOP_CLASS = (Rank(0),)


@dataclass(frozen=True, slots=True)
class Frame:
    """What a job has beside its tensors. `received` and `deadline` are seconds on the server's clock; `max_items` is the most
    items that the server admits in one request."""

    version: int | None
    request_id: str
    received: float
    deadline: float | None
    max_items: int


def classify_job(request: InferRequest, running: Running, frame: Frame) -> ClassifyJob:
    """The request as a job for a classifier. Raises InvalidRequestError naming what is wrong, and what would be right."""
    inputs, outputs = describe.signature(running)
    arrays = _arrays(request.inputs, inputs, frame.max_items)
    wanted = wanted_outputs(request.outputs, outputs)
    if (PIXELS in arrays) == (IMAGE in arrays):
        raise InvalidRequestError("inputs: send either `pixels` or `image`, exactly one of the two")
    tensors.batch_size(arrays.items())
    images = _raw_images(arrays[PIXELS]) if PIXELS in arrays else _encoded_images(arrays[IMAGE])
    explained = HEATMAPS in wanted if wanted else TARGETS in arrays
    explains = _explains(request, running, arrays, len(images)) if explained else [None] * len(images)
    return ClassifyJob(
        model=request.model,
        version=frame.version,
        questions=tuple(map(Question, images, explains)),
        top_k=1,
        request_id=frame.request_id,
        received=frame.received,
        deadline=frame.deadline,
    )


def tensor_job(request: InferRequest, running: RunningTensors, frame: Frame) -> TensorJob:
    """The request as a job for a model without images. Raises InvalidRequestError like `classify_job`."""
    inputs, outputs = describe.signature(running)
    arrays = _arrays(request.inputs, inputs, frame.max_items)
    if missing := [each.name for each in inputs if each.name not in arrays]:
        raise InvalidRequestError(f"inputs: {', '.join(missing)} missing; the model takes {_named(inputs)}")
    tensors.batch_size(arrays.items())
    return TensorJob(
        model=request.model,
        version=frame.version,
        inputs=dict(arrays),
        outputs=wanted_outputs(request.outputs, outputs),
        request_id=frame.request_id,
        received=frame.received,
        deadline=frame.deadline,
    )


def wanted_outputs(requested: Sequence[RequestedOutput], outputs: Tensors) -> tuple[str, ...]:
    """The names of the requested outputs. Raises InvalidRequestError for unknown and repeated ones."""
    known = {each.name for each in outputs}
    names = tuple(each.name for each in requested)
    for number, each in enumerate(requested):
        if each.name not in known:
            raise InvalidRequestError(f"outputs: no {tensors.shown(each.name)}; the model gives {_named(outputs)}")
        if each.name in names[:number]:
            raise InvalidRequestError(f"outputs: {each.name!r} comes twice; name each output once")
        if each.classification < 0:
            raise InvalidRequestError(
                f"output {each.name!r}: classification {each.classification}; it is how many classes to answer, 1 or more"
            )
    return names


def _arrays(given: Sequence[InputTensor], inputs: Tensors, max_items: int) -> Arrays:
    """The inputs by name. Raises InvalidRequestError for none at all, for unknown and repeated ones, and for bad tensors."""
    if not given:
        raise InvalidRequestError(f"inputs: the request has none; the model takes {_named(inputs)}")
    known = {each.name: each for each in inputs}
    arrays: dict[str, NDArray[np.generic]] = {}
    for tensor in given:
        if tensor.name not in known:
            raise InvalidRequestError(f"inputs: no {tensors.shown(tensor.name)}; the model takes {_named(inputs)}")
        if tensor.name in arrays:
            raise InvalidRequestError(f"inputs: {tensor.name!r} comes twice; send each input once")
        _check_batch(tensor, max_items)
        arrays[tensor.name] = tensors.array(tensor, known[tensor.name])
    return arrays


def _check_batch(tensor: InputTensor, most: int) -> None:
    """Before the elements are looked at: millions of empty ones fit into a request, and each would become an object."""
    if tensor.shape and tensor.shape[0] > most:
        raise InvalidRequestError(
            f"input {tensor.name!r}: a batch of {tensor.shape[0]:,}; the server takes at most {most:,} in one request; split it"
        )


def _raw_images(pixels: NDArray[np.generic]) -> list[EncodedImage | RawImage]:
    """One image for each row of `pixels`, uint8 [n, H, W, C]: views, not copies."""
    height, width, channels = pixels.shape[1:]
    return [RawImage((height, width, channels), row.data) for row in pixels.reshape(len(pixels), -1)]


def _encoded_images(elements: NDArray[np.generic]) -> list[EncodedImage | RawImage]:
    return [EncodedImage(element) for element in elements.ravel().tolist()]


def _explains(request: InferRequest, running: Running, arrays: Arrays, images: int) -> list[Explain | None]:
    """What to explain of each image: its row of `targets`, without that input its top class."""
    method = parameters.method(request.parameters, running.explanations)
    if TARGETS not in arrays:
        return [Explain(_TOP_CLASS, HeatmapFormat.GRID, method)] * images
    targets, classes = arrays[TARGETS], len(running.labels)
    if targets.shape[1] > MAX_TARGETS:
        raise InvalidRequestError(
            f"input 'targets': {targets.shape[1]} classes for each image; the server explains at most {MAX_TARGETS}"
        )
    rows: list[list[int]] = targets.tolist()
    for target in (target for row in rows for target in row):
        if not -classes <= target < classes:
            raise InvalidRequestError(
                f"input 'targets': {target} of a model with {classes} classes; a class is 0 to {classes - 1}, the class "
                f"ranked r-th is -1-r, down to {-classes}"
            )
    return [Explain(tuple(map(_target, row)), HeatmapFormat.GRID, method) for row in rows]


def _target(code: int) -> ClassIndex | Rank:
    return ClassIndex(code) if code >= 0 else Rank(-1 - code)


def _named(each: Tensors) -> str:
    return ", ".join(f"{tensor.name} ({tensor.datatype})" for tensor in each)
