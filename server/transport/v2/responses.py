"""Answers of the serving layer as tensors of the protocol."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from server.errors import InvalidImageError, ServerError
from server.serving.jobs import Answer, Classification, Grid
from server.transport.v2.describe import HEATMAPS, PROBABILITIES
from server.transport.v2.tensors import DATATYPE_OF, objects
from server.transport.v2.values import BYTES, OutputTensor, RequestedOutput

Arrays = Mapping[str, NDArray[np.generic]]


def answers(classification: Classification) -> list[Answer]:
    """The answer of every image. The protocol has no status for each: raises the first image's error when there is one."""
    found: list[Answer] = []
    for number, result in enumerate(classification.results):
        if isinstance(result, ServerError):
            raise naming(result, number, len(classification.results))
        found.append(result)
    return found


def naming(error: ServerError, number: int, images: int) -> ServerError:
    """An image's error, which tells the number of the image where there are several."""
    if images > 1 and isinstance(error, InvalidImageError):
        return InvalidImageError(f"image {number} of {images} (counted from 0): {error}")
    return error


def classifier_arrays(found: Sequence[Answer]) -> Arrays:
    """The outputs of a classifier: probabilities f32 [n, K], and heatmaps f32 [n, M, h, w] if they were computed."""
    arrays: dict[str, NDArray[np.generic]] = {PROBABILITIES: np.array([each.probabilities for each in found])}
    if found[0].explanations:
        arrays[HEATMAPS] = np.array([_heatmaps(each) for each in found])
    return arrays


def outputs(arrays: Arrays, requested: Sequence[RequestedOutput], labels: Sequence[str]) -> list[OutputTensor]:
    """The requested outputs in their order, without any named all; `labels` are those of the probabilities."""
    if not requested:
        return [OutputTensor(name, DATATYPE_OF[array.dtype], array) for name, array in arrays.items()]
    return [_output(arrays[each.name], each, labels) for each in requested]


def _output(array: NDArray[np.generic], requested: RequestedOutput, labels: Sequence[str]) -> OutputTensor:
    if not requested.classification:
        return OutputTensor(requested.name, DATATYPE_OF[array.dtype], array)
    of_classes = labels if requested.name == PROBABILITIES else ()
    return OutputTensor(requested.name, BYTES, _highest(array, requested.classification, of_classes))


def _highest(array: NDArray[np.generic], count: int, labels: Sequence[str]) -> NDArray[np.object_]:
    """The `count` highest elements of each item as "score:index:label", highest first: bytes [n, min(count, elements)].

    Format: Triton's classification extension, scores with six decimals as Triton writes them.
    """
    rows = array.reshape(len(array), -1)
    order = np.argsort(-rows.astype(np.float64), axis=1, kind="stable")[:, :count]
    flat = [_entry(row[index], int(index), labels) for row, best in zip(rows, order, strict=True) for index in best]
    return objects(flat).reshape(order.shape)


def _entry(score: np.generic, index: int, labels: Sequence[str]) -> bytes:
    entry = f"{float(score):f}:{index}"
    return (f"{entry}:{labels[index]}" if labels else entry).encode()


def _heatmaps(answer: Answer) -> list[NDArray[np.float32]]:
    return [each.heatmap.values for each in answer.explanations if isinstance(each.heatmap, Grid)]
