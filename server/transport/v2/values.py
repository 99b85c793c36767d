"""The protocol's messages as plain values: what a transport reads from the wire, and what it writes there."""

from collections.abc import Mapping, Sequence

import numpy as np
from msgspec import Struct, field
from numpy.typing import NDArray

Parameter = bool | int | float | str

# The protocol's names of element types, by the size of an element in bytes; BYTES elements have sizes of their own.
DATATYPES: Mapping[str, np.dtype[np.generic]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype(np.uint8),
    "UINT16": np.dtype(np.uint16),
    "UINT32": np.dtype(np.uint32),
    "UINT64": np.dtype(np.uint64),
    "INT8": np.dtype(np.int8),
    "INT16": np.dtype(np.int16),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
    "FP16": np.dtype(np.float16),
    "FP32": np.dtype(np.float32),
    "FP64": np.dtype(np.float64),
}
BYTES = "BYTES"


class InputTensor(Struct, frozen=True):
    """A tensor of a request, not checked yet. Exactly one of `raw` and `values` is what came; both None: nothing did.

    raw      row-major, little-endian; for BYTES each element behind its length as a 4-byte little-endian number
    values   flat, row-major; numbers, or bytes for BYTES
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    raw: bytes | memoryview | None = None
    values: Sequence[object] | None = None


class RequestedOutput(Struct, frozen=True):
    """An output that a request names. `classification` k > 0 asks for its k highest elements as "score:index:label"."""

    name: str
    classification: int = 0


class InferRequest(Struct, frozen=True):
    """An inference request. `version` and `id` may be empty; without `outputs` the server chooses."""

    model: str
    version: str
    id: str
    inputs: Sequence[InputTensor]
    outputs: Sequence[RequestedOutput] = ()
    parameters: Mapping[str, Parameter] = field(default_factory=dict)


class OutputTensor(Struct, frozen=True):
    """A tensor of an answer: an array of one of DATATYPES, or for BYTES an object array of bytes."""

    name: str
    datatype: str
    data: NDArray[np.generic]


class InferResponse(Struct, frozen=True):
    """The answer to an inference request; `timings` in seconds by stage, in the order of STAGES."""

    model: str
    version: str
    id: str
    outputs: Sequence[OutputTensor]
    timings: Sequence[float]


class TensorMetadata(Struct, frozen=True):
    """An input or output in a model's metadata; -1 is a size that varies. `optional` inputs may be left out."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    optional: bool = False


class ModelMetadata(Struct, frozen=True):
    """Answer to ModelMetadata, and what ModelConfig needs beside it."""

    name: str
    versions: tuple[str, ...]
    platform: str
    inputs: tuple[TensorMetadata, ...]
    outputs: tuple[TensorMetadata, ...]
    max_batch_size: int
    labels: tuple[str, ...]
    version_labels: Mapping[str, str]  # what the versions in service are called: the version by its label
    parameters: Mapping[str, str]  # what clients must know beside the tensors, as JSON


class IndexEntry(Struct, frozen=True):
    """A version in the repository's index; `state` is one of READY, LOADING, UNAVAILABLE."""

    name: str
    version: str
    state: str
    reason: str
