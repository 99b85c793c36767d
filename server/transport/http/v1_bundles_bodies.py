"""Bodies of the operations on what bundles keep."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from bundle.manifest import Precision
from bundle.preprocess import PreprocessSpec
from server.serving.bundles import Check

Tolerated = Annotated[float, Meta(ge=0)]


class FeatureMapBody(msgspec.Struct):
    """The spatial map on which heatmaps are computed, and the part of the input, in its pixels, that its cells stand for."""

    layer: str
    height: int
    width: int
    left: float
    top: float
    right: float
    bottom: float


class BundleBody(msgspec.Struct):
    """What the bundle of a version in service says of itself."""

    name: str
    version: int
    preprocess: Annotated[PreprocessSpec, Meta(description="How a picture becomes the model's input.")]
    feature_map: FeatureMapBody
    precisions: Annotated[
        list[Precision], Meta(description="Its executable forms, and how far each is from the trained model.")
    ]
    precision: Annotated[str, Meta(description="The one in service.")]
    minimum_top1_agreement: float
    checks: Annotated[list[Check], Meta(description="Of its export; empty when it has no report.")]
    has_report_page: bool


class SampleBody(msgspec.Struct):
    """A picture of a bundle."""

    index: int
    label: Annotated[str | None, Meta(description="What it truly shows, where that is known.")]


class SamplesBody(msgspec.Struct):
    """Pictures that a bundle keeps: held out from training, or those of the golden check."""

    source: Literal["held-out", "golden"]
    samples: list[SampleBody]


class GoldenBody(msgspec.Struct):
    """How far the answers to the golden pictures are from the trained model's now, and how far they may be."""

    passed: bool
    pictures: int
    probability_difference: Annotated[float | None, Meta(description="null: not a number")]
    probability_tolerance: Tolerated
    heatmap_difference: Annotated[float | None, Meta(description="null: not a number")]
    heatmap_tolerance: Tolerated
