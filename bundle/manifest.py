"""manifest.json: everything the server must know about a bundle that is not in the graph itself.

    models/<name>/<version>/
        manifest.json   manifest.sha256   golden.npz   report.json
        model.onnx      pixels, targets -> probabilities, heatmaps
        predict.onnx    pixels -> probabilities, the same network without its explanations
        weights.bin     what the two graphs share
        saved_model/    the signature of model.onnx for TensorFlow, when the model came from Keras
        samples.npz     pictures to calibrate and to measure other precisions on, when the origin had real ones
        int8/  fp16/    the same three files in another precision, and report.html, when `optimise` made them

A bundle of the kind `tensor` is no image classifier: model.onnx takes and gives any named arrays whose first axis is the batch, and
nothing explains it. Where its one input is pictures, `preprocess` says how a client makes them; the server takes arrays.

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
REPORT_PAGE = "report.html"
SAMPLES = "samples.npz"

# multiclass: one probability per label, summing to one (softmax).
# binary: one sigmoid; the graph answers both labels, [1 - p, p], and explains them by -logit and +logit.
# multilabel: one sigmoid per label, each right or wrong by itself.
Kind = Literal["multiclass", "binary", "multilabel"]
# How a heatmap is made of a feature map A and its gradient G (exporter.gradcam.methods has the formulas and sources).
Method = Literal["gradcam", "hirescam", "layercam"]
PrecisionName = Literal["fp32", "bf16", "fp16", "int8"]
Fraction = Annotated[float, msgspec.Meta(ge=0, le=1)]
NotNegative = Annotated[float, msgspec.Meta(ge=0)]
Correlation = Annotated[float, msgspec.Meta(ge=-1, le=1)]
Positive = Annotated[int, msgspec.Meta(ge=1)]


Dtype = Literal[
    "bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "float16", "float32", "float64"
]


class Tensor(strict.Document, frozen=True):
    """Name, element type and shape of an input or output; -1 stands for a size that varies."""

    name: str
    dtype: Dtype
    shape: list[int]

    def fits(self, shape: Sequence[int]) -> bool:
        """Whether an array of `shape` is one of these."""
        return len(shape) == len(self.shape) and all(
            want in (-1, size) for want, size in zip(self.shape, shape, strict=True)
        )


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


class Tolerance(strict.Document, frozen=True):
    """The largest absolute difference from the golden outputs at which a bundle still counts as right."""

    probabilities: Fraction
    heatmaps: Fraction


class Precision(strict.Document, frozen=True):
    """One executable form of the model, and how far its answers are from the trained model's."""

    name: PrecisionName
    engine: Literal["any", "onnxruntime", "openvino"]  # which can run it
    file: str  # probabilities and heatmaps
    predict_file: str  # probabilities alone
    samples: Positive  # pictures that it was measured on
    top1_agreement: Fraction
    max_probability_difference: Fraction
    heatmap_correlation: Correlation  # mean over the samples, of the top class's heatmap
    tolerance: Tolerance
    images_per_second: dict[str, float]  # by batch size, on the machine of the export; empty when not measured


class Provenance(strict.Document, frozen=True):
    """Where the model comes from."""

    source: str  # in words: "Keras run fashion", "ONNX file efficientnet.onnx"
    details: dict[str, str]  # what the source knows of itself: recipe, data set, fingerprints
    created: str  # ISO 8601, UTC
    libraries: dict[str, str]


class Manifest(strict.Document, frozen=True):
    """The whole of manifest.json of an image classifier."""

    schema: Literal["seethrough.bundle/1"]
    kind: Kind
    labels: Annotated[list[str], msgspec.Meta(min_length=2)]
    preprocess: PreprocessSpec
    inputs: list[Tensor]
    outputs: list[Tensor]
    explanations: Annotated[list[Method], msgspec.Meta(min_length=1)]  # the first is what a request gets by default
    feature_map: FeatureMap
    precisions: Annotated[list[Precision], msgspec.Meta(min_length=1)]
    minimum_top1_agreement: Fraction  # a form that agrees less is never chosen by itself
    provenance: Provenance
    files: dict[str, str]  # path inside the bundle -> SHA-256, hexadecimal; every file except the manifest's own two

    def __post_init__(self) -> None:
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("`labels` must be different from each other")
        if len(set(self.explanations)) != len(self.explanations):
            raise ValueError("`explanations` must be different from each other")
        _check_files(self.files, [file for form in self.precisions for file in (form.file, form.predict_file)])

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Shape of one image as the graph takes it: (height, width, channels), uint8."""
        return self.preprocess.shape


class TensorPrecision(strict.Document, frozen=True):
    """One executable form of a model without images, with its measured difference from the model as it was given."""

    name: Literal["fp32"]
    engine: Literal["any", "onnxruntime", "openvino"]  # which can run it
    file: str
    samples: Positive
    max_difference: NotNegative  # in parts of the output's largest magnitude


class TensorManifest(strict.Document, frozen=True):
    """The whole of manifest.json of a model that is no image classifier."""

    schema: Literal["seethrough.bundle/1"]
    kind: Literal["tensor"]
    labels: list[str]  # what the numbers of an output row stand for; empty where they are no classes
    preprocess: PreprocessSpec | None  # how a picture becomes a row of the one input; null where it takes no pictures
    inputs: Annotated[list[Tensor], msgspec.Meta(min_length=1)]
    outputs: Annotated[list[Tensor], msgspec.Meta(min_length=1)]
    precisions: Annotated[list[TensorPrecision], msgspec.Meta(min_length=1)]
    tolerance: Fraction  # the largest difference from the golden outputs, in parts of the output's largest magnitude
    provenance: Provenance
    files: dict[str, str]  # path inside the bundle -> SHA-256, hexadecimal; every file except the manifest's own two

    def __post_init__(self) -> None:
        _check_files(self.files, [form.file for form in self.precisions])
        if self.labels and not any(tensor.shape[1:] == [len(self.labels)] for tensor in self.outputs):
            raise ValueError(f"none of `outputs` has a number for each of the {len(self.labels)} `labels`")
        pictures = [("uint8", [-1, *self.preprocess.shape])] if self.preprocess else []
        if pictures and [(tensor.dtype, tensor.shape) for tensor in self.inputs] != pictures:
            raise ValueError("`preprocess` makes pictures that are not the one of `inputs`")
        for role, tensors in (("inputs", self.inputs), ("outputs", self.outputs)):
            if len({tensor.name for tensor in tensors}) != len(tensors):
                raise ValueError(f"`{role}` must have different names")
            if any(not tensor.shape or tensor.shape[0] != -1 for tensor in tensors):
                raise ValueError(f"the first axis of all `{role}` must be the batch, -1")


def _check_files(files: dict[str, str], named: Sequence[str]) -> None:
    for path in files:
        if Path(path).is_absolute() or ".." in Path(path).parts:
            raise ValueError(f"`files` names a path outside the bundle: {path}")
    for file in named:
        if file not in files:
            raise ValueError(f"`precisions` names {file}, which is not among `files`")


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


class _KindOnly(msgspec.Struct):
    kind: str


def read(folder: Path) -> Manifest | TensorManifest:
    """Reads the manifest of the bundle in `folder`; raises BundleError when it is not exactly as declared here."""
    if strict.read(folder / MANIFEST, _KindOnly).kind == "tensor":
        return strict.read(folder / MANIFEST, TensorManifest)
    manifest = strict.read(folder / MANIFEST, Manifest)
    expected = signature(manifest.preprocess, len(manifest.labels), manifest.feature_map, manifest.explanations)
    if (manifest.inputs, manifest.outputs) != expected:
        raise BundleError(
            f"{folder / MANIFEST}: `inputs` and `outputs` do not match `labels`, `preprocess`, `feature_map` and `explanations`"
        )
    return manifest


def read_classifier(folder: Path) -> Manifest:
    """Reads the manifest of an image classifier. Raises BundleError, also when the bundle is of another kind."""
    return classifier(folder, read(folder))


def classifier(folder: Path, manifest: Manifest | TensorManifest) -> Manifest:
    """`manifest` of the bundle in `folder`, which must be an image classifier's. Raises BundleError when it is not."""
    if isinstance(manifest, TensorManifest):
        raise BundleError(f"{folder}: takes no images (kind tensor)")
    return manifest
