"""Bodies and query of the operations for people, named like the fields of seethrough.v1 (proto/classifier.proto)."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from server.batching.policy import Priority
from server.events import ModelState, Timings
from server.serving.jobs import HeatmapFormat

Probability = Annotated[float, Meta(ge=0, le=1)]


class ClassifyQuery(msgspec.Struct, forbid_unknown_fields=True):
    """What is asked of each image. Without `explain`, `class` and `method` nothing is explained."""

    top: Annotated[int, Meta(ge=1, le=2**31 - 1, description="How many classes to answer, most probable first.")] = 1
    explain: Annotated[
        HeatmapFormat | UnsetType,
        Meta(description="Explain the answer by a heatmap: its numbers, a picture of it, or one laid over the image."),
    ] = UNSET
    classes: Annotated[list[str], Meta(description="The labels to explain instead of the most probable class.")] = (
        msgspec.field(name="class", default_factory=list)
    )
    method: Annotated[
        str, Meta(description="Which of the model's explanations makes the heatmaps; empty for its first.")
    ] = ""
    priority: Annotated[
        Priority, Meta(description="How urgent the request is: others are overtaken, or overtake it, while they wait.")
    ] = Priority.NORMAL


class VersionedClassifyQuery(ClassifyQuery, forbid_unknown_fields=True):
    """What is asked of each image, and of which version."""

    version: Annotated[str, Meta(description="Its number or its label; empty for the one that answers by default.")] = (
        ""
    )


class PredictionBody(msgspec.Struct):
    """One class and its probability."""

    class_index: int
    label: str
    probability: Probability


class GridBody(msgspec.Struct):
    """A heatmap, 0..1, row by row, and where it lies in the upright picture, in its pixels."""

    values: list[list[float]]
    left: float
    top: float
    right: float
    bottom: float


class ExplanationBody(msgspec.Struct):
    """The evidence for one class, as a grid or as a PNG file in base64."""

    class_index: int
    label: str
    probability: Probability
    method: str
    grid: GridBody | UnsetType = UNSET
    png: bytes | UnsetType = UNSET


class ImageResultBody(msgspec.Struct):
    """The answer for one image, or the error and its HTTP status instead."""

    predictions: list[PredictionBody] | UnsetType = UNSET
    explanations: list[ExplanationBody] | UnsetType = UNSET
    timings: Timings | UnsetType = UNSET
    error: str | UnsetType = UNSET
    status: int | UnsetType = UNSET


class ClassifyReply(msgspec.Struct):
    """One result for each image, in their order."""

    request_id: str
    model: str
    version: int
    results: list[ImageResultBody]


class ModelBody(msgspec.Struct):
    """One version of one model; what is left out is known only of a version in service, or of another kind."""

    name: str
    version: int
    state: ModelState
    is_default: Annotated[bool, Meta(description="Whether it answers when a request names no version.")]
    reason: Annotated[
        str, Meta(description="Why it is not in service, or why a newer bundle of its number was refused.")
    ]
    version_labels: Annotated[list[str], Meta(description="What the version is called.")]
    kind: Annotated[str | UnsetType, Meta(description="multiclass, binary, multilabel or tensor")] = UNSET
    labels: list[str] | UnsetType = UNSET
    explanations: Annotated[list[str] | UnsetType, Meta(description="Methods; the first is the default.")] = UNSET
    input_shape: Annotated[list[int] | UnsetType, Meta(description="uint8 [height, width, channels]")] = UNSET
    heatmap_shape: Annotated[list[int] | UnsetType, Meta(description="[height, width]")] = UNSET
    engine: str | UnsetType = UNSET
    precision: str | UnsetType = UNSET
    device: str | UnsetType = UNSET
    loaded_at: datetime | UnsetType = UNSET
    provenance: dict[str, str] | UnsetType = UNSET


class ModelsBody(msgspec.Struct):
    """Every version of every model, by name and number."""

    models: list[ModelBody]
