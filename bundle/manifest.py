"""manifest.json: everything the server must know about a bundle that is not in the graph itself.

    models/<name>/<version>/
        manifest.json   manifest.sha256   golden.npz   report.json
        model.onnx      pixels, targets -> probabilities, heatmaps
        predict.onnx    pixels -> probabilities, the same network without its explanations
        weights.bin     what the two graphs share
        saved_model/    the signature of model.onnx for TensorFlow, when the model came from Keras

The name and version of a model are its folder, not a key here, so that a bundle can be promoted by copying it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from bundle import strict
from bundle.errors import BundleError
from bundle.preprocess import Box, PreprocessSpec

MANIFEST = "manifest.json"
ONNX_MODEL = "model.onnx"
PREDICT_MODEL = "predict.onnx"
WEIGHTS = "weights.bin"
SAVED_MODEL = "saved_model"
GOLDEN = "golden.npz"
REPORT = "report.json"

# multiclass: one probability per label, summing to one (softmax).
# binary: one sigmoid; the graph answers both labels, [1 - p, p], and explains them by -logit and +logit.
# multilabel: one sigmoid per label, each right or wrong by itself.
Kind = Literal["multiclass", "binary", "multilabel"]
# How a heatmap is made of a feature map A and its gradient G (exporter.gradcam.methods has the formulas and sources).
Method = Literal["gradcam", "hirescam", "layercam"]
Fraction = Annotated[float, msgspec.Meta(ge=0, le=1)]
Positive = Annotated[int, msgspec.Meta(ge=1)]


class Tensor(strict.Document, frozen=True):
    """Name, element type and shape of an input or output; -1 stands for a size that varies."""

    name: str
    dtype: Literal["uint8", "int64", "float32"]
    shape: list[int]


class FeatureMap(strict.Document, frozen=True):
    """The spatial map on which the heatmaps are computed."""

    layer: str  # as the training framework names it
    tensor: str  # as the ONNX graph names it
    height: Positive
    width: Positive
    channels: Positive
    # The part of the input that its cells stand for: left, top, right, bottom in input pixels. Smaller than the input
    # after convolutions without padding, and it may reach beyond the edge.
    extent: Box


class Precision(strict.Document, frozen=True):
    """One executable form of the model, with its measured agreement with the trained model."""

    name: Literal["fp32"]
    file: str  # probabilities and heatmaps
    predict_file: str  # probabilities alone
    samples: Positive
    top1_agreement: Fraction
    max_probability_difference: Fraction


class Tolerance(strict.Document, frozen=True):
    """The largest absolute difference from the golden outputs at which a bundle still counts as right."""

    probabilities: Fraction
    heatmaps: Fraction


class Provenance(strict.Document, frozen=True):
    """Where the model comes from."""

    source: str  # in words: "Keras run fashion", "ONNX file efficientnet.onnx"
    details: dict[str, str]  # what the source knows of itself: recipe, data set, fingerprints
    created: str  # ISO 8601, UTC
    libraries: dict[str, str]


class Manifest(strict.Document, frozen=True):
    """The whole of manifest.json."""

    schema: Literal["seethrough.bundle/1"]
    kind: Kind
    labels: Annotated[list[str], msgspec.Meta(min_length=2)]
    preprocess: PreprocessSpec
    inputs: list[Tensor]
    outputs: list[Tensor]
    explanations: Annotated[list[Method], msgspec.Meta(min_length=1)]  # the first is what a request gets by default
    feature_map: FeatureMap
    precisions: Annotated[list[Precision], msgspec.Meta(min_length=1)]
    minimum_top1_agreement: Fraction
    tolerance: Tolerance
    provenance: Provenance
    files: dict[str, str]  # path inside the bundle -> SHA-256, hexadecimal; every file except the manifest's own two

    def __post_init__(self) -> None:
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("`labels` must be different from each other")
        if len(set(self.explanations)) != len(self.explanations):
            raise ValueError("`explanations` must be different from each other")
        for path in self.files:
            if Path(path).is_absolute() or ".." in Path(path).parts:
                raise ValueError(f"`files` names a path outside the bundle: {path}")
        for precision in self.precisions:
            for file in (precision.file, precision.predict_file):
                if file not in self.files:
                    raise ValueError(f"`precisions` names {file}, which is not among `files`")

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Shape of one image as the graph takes it: (height, width, channels), uint8."""
        return self.preprocess.shape


def signature(
    spec: PreprocessSpec, labels: int, feature_map: FeatureMap, explanations: Sequence[Method]
) -> tuple[list[Tensor], list[Tensor]]:
    """The inputs and outputs that every image bundle has, for a model of this size.

    A graph that carries several explanations takes, for each target, the index of the one wanted.
    """
    inputs = [
        Tensor(name="pixels", dtype="uint8", shape=[-1, *spec.shape]),
        Tensor(name="targets", dtype="int64", shape=[-1, -1]),
    ]
    if len(explanations) > 1:
        inputs.append(Tensor(name="methods", dtype="int64", shape=[-1, -1]))
    outputs = [
        Tensor(name="probabilities", dtype="float32", shape=[-1, labels]),
        Tensor(name="heatmaps", dtype="float32", shape=[-1, -1, feature_map.height, feature_map.width]),
    ]
    return inputs, outputs


def read(folder: Path) -> Manifest:
    """Reads the manifest of the bundle in `folder`; raises BundleError when it is not exactly as declared here."""
    manifest = strict.read(folder / MANIFEST, Manifest)
    expected = signature(manifest.preprocess, len(manifest.labels), manifest.feature_map, manifest.explanations)
    if (manifest.inputs, manifest.outputs) != expected:
        raise BundleError(
            f"{folder / MANIFEST}: `inputs` and `outputs` do not match `labels`, `preprocess`, `feature_map` and `explanations`"
        )
    return manifest
