"""The questions and the answers that cross the seam between transport and serving."""

from enum import StrEnum

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from bundle.preprocess import Box
from server.batching.policy import Priority
from server.errors import ServerError
from server.events import ModelState, Timings

# A version by its number or by a label; None is the one that answers when none is named.
Version = int | str | None


class EncodedImage(Struct, frozen=True):
    """A picture file."""

    data: bytes

    @property
    def size_bytes(self) -> int:
        """What it counts for in admission."""
        return len(self.data)


class RawImage(Struct, frozen=True):
    """Samples that already have the model's shape, [height, width, channels], row-major."""

    shape: tuple[int, int, int]
    data: bytes | memoryview  # a view on the message that brought them is enough

    @property
    def size_bytes(self) -> int:
        """What it counts for in admission."""
        return len(self.data)


class Rank(Struct, frozen=True):
    """The class with the r-th highest probability, 0 the highest."""

    rank: int


class ClassIndex(Struct, frozen=True):
    """The class with this index."""

    index: int


class ClassLabel(Struct, frozen=True):
    """The class with this label."""

    label: str


Target = Rank | ClassIndex | ClassLabel


class HeatmapFormat(StrEnum):
    """How heatmaps are answered."""

    GRID = "grid"
    HEATMAP_PNG = "heatmap"
    OVERLAY_PNG = "overlay"


class Explain(Struct, frozen=True):
    """Which classes to explain, and in which form."""

    targets: tuple[Target, ...]
    format: HeatmapFormat
    method: str  # one of the model's explanations; empty for its first


class Question(Struct, frozen=True):
    """One image, and what to explain of its answer; None for nothing."""

    image: EncodedImage | RawImage
    explain: Explain | None


class ClassifyJob(Struct, frozen=True):
    """A request. `deadline` and `received` are on the server's clock, in seconds."""

    model: str
    version: Version
    questions: tuple[Question, ...]
    top_k: int
    request_id: str
    received: float
    deadline: float | None
    priority: Priority = Priority.NORMAL


class Prediction(Struct, frozen=True):
    """One class and its probability, 0..1."""

    index: int
    label: str
    probability: float


class Grid(Struct, frozen=True):
    """A heatmap as the graph computes it, and where it lies in the upright picture, in its pixels."""

    values: NDArray[np.float32]  # [h, w], 0..1
    box: Box


class Explanation(Struct, frozen=True):
    """The evidence for one class, as a grid or as a PNG file."""

    prediction: Prediction
    method: str
    heatmap: Grid | bytes


class Answer(Struct, frozen=True):
    """Predictions, most probable first, and one explanation for each target.

    `probabilities` f32 [K] are those of all classes, in the order of the labels, for callers who want them as they are.
    """

    probabilities: NDArray[np.float32]
    predictions: tuple[Prediction, ...]
    explanations: tuple[Explanation, ...]
    timings: Timings


class Classification(Struct, frozen=True):
    """The answer to a job: for each image an answer, or why there is none."""

    request_id: str
    model: str
    version: int
    results: tuple[Answer | ServerError, ...]


class PixelsJob(Struct, frozen=True):
    """A request about pictures that came as one tensor in the model's own shape: answered together, or not at all.

    `pixels` uint8 [n, H, W, C] may be a view on the message that brought it; `targets` int64 [n, M] are classes, or -1-r for the class
    ranked r-th, None when nothing is to be explained; `method` is one of the model's explanations, empty for its first.
    """

    model: str
    version: Version
    pixels: NDArray[np.uint8]
    targets: NDArray[np.int64] | None
    method: str
    request_id: str
    received: float
    deadline: float | None
    priority: Priority = Priority.NORMAL


class TensorJob(Struct, frozen=True):
    """A request to a model that takes no images: each of its inputs, [n, ...], n >= 1 the same in all of them."""

    model: str
    version: Version
    inputs: dict[str, NDArray[np.generic]]
    outputs: tuple[str, ...]  # which to compute; empty for all
    request_id: str
    received: float
    deadline: float | None
    priority: Priority = Priority.NORMAL


class TensorAnswer(Struct, frozen=True):
    """The outputs that were asked for, [n, ...] each, in the order of the job; of pixels the probabilities f32 [n, K], and the
    heatmaps f32 [n, M, h, w] where there were targets."""

    model: str
    version: int
    outputs: dict[str, NDArray[np.generic]]
    timings: Timings


class TensorInfo(Struct, frozen=True):
    """Name, NumPy element type and shape of an input or output; the first axis is the batch, -1 a size that varies."""

    name: str
    dtype: str
    shape: tuple[int, ...]


class RunningTensors(Struct, frozen=True):
    """What is known of a version in service that takes no images."""

    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    parameters: dict[str, str]  # what clients must know to use them, as JSON: `labels`, `preprocess`
    max_batch: int
    engine: str
    precision: str
    device: str
    loaded_at: float  # Unix time, seconds
    provenance: dict[str, str]


class Running(Struct, frozen=True):
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


class ModelStatus(Struct, frozen=True):
    """One version of one model; `running` is None unless it is in service.

    `reason` tells why it is not; of a version in service, why a newer bundle of the same number was refused.
    """

    name: str
    version: int
    state: ModelState
    reason: str
    is_default: bool
    running: Running | RunningTensors | None
    version_labels: tuple[str, ...] = ()
