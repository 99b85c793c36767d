"""The questions and the answers that cross the seam between transport and serving."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from bundle.preprocess import Box
from server.errors import ServerError
from server.events import ModelState, Timings


@dataclass(frozen=True, slots=True)
class EncodedImage:
    """A picture file."""

    data: bytes

    @property
    def size_bytes(self) -> int:
        """What it counts for in admission."""
        return len(self.data)


@dataclass(frozen=True, slots=True)
class RawImage:
    """Samples that already have the model's shape, [height, width, channels], row-major."""

    shape: tuple[int, int, int]
    data: bytes | memoryview  # a view on the message that brought them is enough

    @property
    def size_bytes(self) -> int:
        """What it counts for in admission."""
        return len(self.data)


@dataclass(frozen=True, slots=True)
class Rank:
    """The class with the r-th highest probability, 0 the highest."""

    rank: int


@dataclass(frozen=True, slots=True)
class ClassIndex:
    """The class with this index."""

    index: int


@dataclass(frozen=True, slots=True)
class ClassLabel:
    """The class with this label."""

    label: str


Target = Rank | ClassIndex | ClassLabel


class HeatmapFormat(StrEnum):
    """How heatmaps are answered."""

    GRID = "grid"
    HEATMAP_PNG = "heatmap"
    OVERLAY_PNG = "overlay"


@dataclass(frozen=True, slots=True)
class Explain:
    """Which classes to explain, and in which form."""

    targets: tuple[Target, ...]
    format: HeatmapFormat
    method: str  # one of the model's explanations; empty for its first


@dataclass(frozen=True, slots=True)
class Question:
    """One image, and what to explain of its answer; None for nothing."""

    image: EncodedImage | RawImage
    explain: Explain | None


@dataclass(frozen=True, slots=True)
class ClassifyJob:
    """A request. `deadline` and `received` are on the server's clock, in seconds; version None is the default one."""

    model: str
    version: int | None
    questions: tuple[Question, ...]
    top_k: int
    request_id: str
    received: float
    deadline: float | None


@dataclass(frozen=True, slots=True)
class Prediction:
    """One class and its probability, 0..1."""

    index: int
    label: str
    probability: float


@dataclass(frozen=True, slots=True)
class Grid:
    """A heatmap as the graph computes it, and where it lies in the upright picture, in its pixels."""

    values: NDArray[np.float32]  # [h, w], 0..1
    box: Box


@dataclass(frozen=True, slots=True)
class Explanation:
    """The evidence for one class, as a grid or as a PNG file."""

    prediction: Prediction
    method: str
    heatmap: Grid | bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """Predictions, most probable first, and one explanation for each target.

    `probabilities` f32 [K] are those of all classes, in the order of the labels, for callers who want them as they are.
    """

    probabilities: NDArray[np.float32]
    predictions: tuple[Prediction, ...]
    explanations: tuple[Explanation, ...]
    timings: Timings


@dataclass(frozen=True, slots=True)
class Classification:
    """The answer to a job: for each image an answer, or why there is none."""

    request_id: str
    model: str
    version: int
    results: tuple[Answer | ServerError, ...]


@dataclass(frozen=True, slots=True)
class TensorJob:
    """A request to a model that takes no images: each of its inputs, [n, ...], n >= 1 the same in all of them."""

    model: str
    version: int | None
    inputs: dict[str, NDArray[np.generic]]
    outputs: tuple[str, ...]  # which to compute; empty for all
    request_id: str
    received: float
    deadline: float | None


@dataclass(frozen=True, slots=True)
class TensorAnswer:
    """The outputs that were asked for, [n, ...] each, in the order of the job."""

    model: str
    version: int
    outputs: dict[str, NDArray[np.generic]]
    timings: Timings


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """Name, NumPy element type and shape of an input or output; the first axis is the batch, -1 a size that varies."""

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class RunningTensors:
    """What is known of a version in service that takes no images."""

    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    max_batch: int
    engine: str
    precision: str
    device: str
    loaded_at: float  # Unix time, seconds
    provenance: dict[str, str]


@dataclass(frozen=True, slots=True)
class Running:
    """What is known of a classifier in service."""

    kind: str  # multiclass, binary, multilabel
    labels: tuple[str, ...]
    explanations: tuple[str, ...]  # the methods that a request may choose from; the first is the default
    input_shape: tuple[int, int, int]  # height, width, channels
    heatmap_shape: tuple[int, int]
    max_batch: int
    engine: str
    precision: str
    device: str
    loaded_at: float  # Unix time, seconds
    provenance: dict[str, str]


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """One version of one model; `running` is None unless it is in service."""

    name: str
    version: int
    state: ModelState
    reason: str
    is_default: bool
    running: Running | RunningTensors | None
