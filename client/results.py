"""Requests and answers as plain frozen values, so that callers never touch protobuf."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from client.errors import ClassifyError


class HeatmapFormat(StrEnum):
    """How heatmaps come back."""

    GRID = "grid"  # the map as the model computes it
    HEATMAP_PNG = "heatmap_png"  # the map alone, over the whole picture's extent
    OVERLAY_PNG = "overlay_png"  # the map blended over the picture


@dataclass(frozen=True)
class Rank:
    """The class that ends up at this place of the answer: 0 is the most probable one."""

    rank: int


@dataclass(frozen=True)
class Explain:
    """Which classes to explain, each by its label, its index or its rank, and in which form."""

    targets: tuple[str | int | Rank, ...] = (Rank(0),)
    format: HeatmapFormat = HeatmapFormat.GRID
    method: str = ""  # one of the model's explanations; empty for its first


@dataclass(frozen=True)
class Prediction:
    """One class and its probability, 0..1."""

    label: str
    class_index: int
    probability: float


@dataclass(frozen=True)
class Explanation:
    """The evidence for one class. Exactly one of `grid` and `png` is set, as the request's format says.

    grid  float32 [h, w] in 0..1; all zero when nothing in the picture speaks for the class
    box   where the grid lies in the upright picture, in its pixels: left, top, right, bottom; the centre of the cell in
          row i is at top + (i + 1/2) (bottom - top) / h
    png   a picture file
    """

    label: str
    class_index: int
    probability: float
    method: str
    grid: NDArray[np.float32] | None = None
    box: tuple[float, float, float, float] | None = None
    png: bytes | None = None


@dataclass(frozen=True)
class Timings:
    """Where the time of one image went on the server, in seconds, and how many images shared the engine's run."""

    decode_seconds: float
    queue_seconds: float
    infer_seconds: float
    render_seconds: float
    total_seconds: float
    batch_images: int


@dataclass(frozen=True)
class ImageResult:
    """The answer for one image: predictions (most probable first) with their timings, or an error."""

    predictions: tuple[Prediction, ...] = ()
    explanations: tuple[Explanation, ...] = ()
    timings: Timings | None = None
    error: ClassifyError | None = None

    @property
    def ok(self) -> bool:
        """Whether the image was classified."""
        return self.error is None


@dataclass(frozen=True)
class Classification:
    """The answer to one call: a result for each image, in the order of the call."""

    request_id: str
    model: str
    version: int
    results: tuple[ImageResult, ...]


@dataclass(frozen=True)
class StreamAnswer:
    """The answer to one request of a stream: a classification, or an error."""

    request_id: str  # made by the server if the request had none
    classification: Classification | None = None
    error: ClassifyError | None = None


class Priority(StrEnum):
    """How urgent a request is."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


class ModelState(StrEnum):
    """Where a version of a model stands."""

    LOADING = "loading"
    SERVING = "serving"
    REFUSED = "refused"
    UNLOADED = "unloaded"
    UNKNOWN = "unknown"  # a server newer than this client said something else
    FAILING = "failing"


@dataclass(frozen=True)
class ModelInfo:
    """One version of one model. Everything from `kind` on is empty unless it is in service."""

    name: str
    version: int
    state: ModelState
    reason: str  # why it was refused or unloaded
    is_default: bool  # answers when a request names no version
    version_labels: tuple[str, ...]  # what it is called; a request may name it so
    kind: str  # multiclass, binary, multilabel
    labels: tuple[str, ...]
    explanations: tuple[str, ...]  # the methods that a request may choose from; the first is the default
    input_shape: tuple[int, int, int]  # height, width, channels; uint8
    heatmap_shape: tuple[int, int]  # height, width
    engine: str
    precision: str
    device: str
    provenance: dict[str, str]
