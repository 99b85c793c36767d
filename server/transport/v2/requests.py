"""Requests of the protocol as jobs of the serving layer: every check that needs the model, and the conversion."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from server.batching.policy import Priority
from server.errors import InvalidRequestError
from server.serving.explain import MAX_TARGETS
from server.serving.jobs import (
    ClassifyJob,
    ClassIndex,
    EncodedImage,
    Explain,
    HeatmapFormat,
    PixelsJob,
    Question,
    Rank,
    Running,
    RunningTensors,
    TensorJob,
    Version,
)
from server.transport.v2 import describe, parameters, tensors
from server.transport.v2.describe import HEATMAPS, IMAGE, PIXELS, TARGETS, Tensors
from server.transport.v2.values import InferRequest, InputTensor, RequestedOutput

Array = NDArray[np.generic]

_TOP_CLASS = -1


class Frame(Struct, frozen=True):
    """What a job has beside its tensors. `received` and `deadline` are seconds on the server's clock; `max_items` is the most
    items that the server admits in one request."""

    version: Version
    request_id: str
    received: float
    deadline: float | None
    priority: Priority
    max_items: int


def classifier_job(request: InferRequest, running: Running, frame: Frame) -> PixelsJob | ClassifyJob:
    """The request as a job for a classifier, by what it brings: pixels in the model's shape or encoded pictures.

    Raises InvalidRequestError naming what is wrong, and what would be right.
    """
    inputs, outputs = describe.signature(running)
    arrays = _arrays(request.inputs, inputs, frame.max_items)
    wanted = wanted_outputs(request.outputs, outputs)
    if (PIXELS in arrays) == (IMAGE in arrays):
        raise InvalidRequestError("inputs: send either `pixels` or `image`, exactly one of the two")
    rows = tensors.batch_size(arrays)
    targets, method = None, ""
    if HEATMAPS in wanted if wanted else TARGETS in arrays:
        targets, method = _targets(arrays, rows, running), parameters.method(request.parameters, running.explanations)
    if PIXELS in arrays:
        return _pixels_job(request, frame, arrays[PIXELS], targets, method)
    return _classify_job(request, frame, arrays[IMAGE], targets, method)


def _pixels_job(
    request: InferRequest, frame: Frame, pixels: NDArray[Any], targets: NDArray[np.int64] | None, method: str
) -> PixelsJob:
    return PixelsJob(
        model=request.model,
        version=frame.version,
        pixels=pixels,
        targets=targets,
        method=method,
        request_id=frame.request_id,
        received=frame.received,
        deadline=frame.deadline,
        priority=frame.priority,
    )


def _classify_job(
    request: InferRequest, frame: Frame, images: NDArray[Any], targets: NDArray[np.int64] | None, method: str
) -> ClassifyJob:
    """One question for each picture: they are decoded, and may meet other callers' pictures, one by one."""
    explains: Iterable[Explain | None] = repeat(None)
    if targets is not None:
        rows: list[list[int]] = targets.tolist()
        explains = [Explain(tuple(map(_target, row)), HeatmapFormat.GRID, method) for row in rows]
    return ClassifyJob(
        model=request.model,
        version=frame.version,
        questions=tuple(map(Question, map(EncodedImage, images.ravel().tolist()), explains)),
        top_k=1,
        request_id=frame.request_id,
        received=frame.received,
        deadline=frame.deadline,
        priority=frame.priority,
    )


def tensor_job(request: InferRequest, running: RunningTensors, frame: Frame) -> TensorJob:
    """The request as a job for a model without images. Raises InvalidRequestError like `classify_job`."""
    inputs, outputs = describe.signature(running)
    arrays = _arrays(request.inputs, inputs, frame.max_items)
    if missing := [each.name for each in inputs if each.name not in arrays]:
        raise InvalidRequestError(f"inputs: {', '.join(missing)} missing; the model takes {_named(inputs)}")
    tensors.batch_size(arrays)
    return TensorJob(
        model=request.model,
        version=frame.version,
        inputs=arrays,
        outputs=wanted_outputs(request.outputs, outputs),
        request_id=frame.request_id,
        received=frame.received,
        deadline=frame.deadline,
        priority=frame.priority,
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


def _arrays(given: Sequence[InputTensor], inputs: Tensors, max_items: int) -> dict[str, Array]:
    """The inputs by name. Raises InvalidRequestError for none at all, for unknown and repeated ones, and for bad tensors."""
    if not given:
        raise InvalidRequestError(f"inputs: the request has none; the model takes {_named(inputs)}")
    known = {each.name: each for each in inputs}
    arrays: dict[str, Array] = {}
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


def _targets(arrays: Mapping[str, Array], rows: int, running: Running) -> NDArray[np.int64]:
    """The classes to explain of each picture, int64 [rows, M]: those that came, or else the top class."""
    given = arrays.get(TARGETS)
    if given is None:
        return np.full((rows, 1), _TOP_CLASS, np.int64)
    targets, classes = given.astype(np.int64, copy=False), len(running.labels)
    if targets.shape[1] > MAX_TARGETS:
        raise InvalidRequestError(
            f"input 'targets': {targets.shape[1]} classes for each image; the server explains at most {MAX_TARGETS}"
        )
    if len(wrong := targets[(targets < -classes) | (targets >= classes)]):
        raise InvalidRequestError(
            f"input 'targets': {wrong[0]} of a model with {classes} classes; a class is 0 to {classes - 1}, the class "
            f"ranked r-th is -1-r, down to {-classes}"
        )
    return targets


def _target(code: int) -> ClassIndex | Rank:
    return ClassIndex(code) if code >= 0 else Rank(-1 - code)


def _named(each: Tensors) -> str:
    return ", ".join(f"{tensor.name} ({tensor.datatype})" for tensor in each)
