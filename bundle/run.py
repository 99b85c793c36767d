"""The run folder: what a training run leaves behind and the exporter reads.

runs/<name>/
    model.keras    the best epoch by validation loss; takes uint8 pixels, arithmetic included
    run.json       this module's `Run`
    samples.npz    held-out test images as the model sees them, with their labels
    history.csv    one row per epoch
    *.png          learning curves, confusion matrix, network diagram, galleries
"""

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from bundle import arrays, strict
from bundle.manifest import Kind
from bundle.preprocess import PreprocessSpec

RUN = "run.json"
KERAS_MODEL = "model.keras"
SAMPLES = "samples.npz"
HISTORY = "history.csv"


class Dataset(strict.Document, frozen=True):
    """The data that a run was trained on."""

    name: str
    fingerprint: str  # SHA-256 over all pixels and labels, in order
    class_counts: dict[str, dict[str, int]]  # split -> label -> images


class Metrics(strict.Document, frozen=True):
    """Figures of the saved model on one split."""

    loss: float
    accuracy: float


class Run(strict.Document, frozen=True):
    """The whole of run.json."""

    schema: Literal["seethrough.run/1"]
    name: str
    recipe: str
    settings: dict[str, object]  # the recipe as it was run, overrides applied
    kind: Kind
    labels: Annotated[list[str], msgspec.Meta(min_length=2)]
    preprocess: PreprocessSpec
    dataset: Dataset
    parameters: int  # trainable and frozen weights of the model
    seed: int
    epochs: int  # epochs that were run
    best_epoch: int  # counted from 1
    interrupted: bool  # ended by Ctrl-C before its last epoch
    metrics: dict[str, Metrics]  # train, validation, test
    started: str  # ISO 8601, UTC
    seconds: float
    command: str
    libraries: dict[str, str]


class Rows(strict.Document, frozen=True):
    """The data that a run of the kind `tensor` was trained on."""

    name: str
    fingerprint: str  # SHA-256 over all inputs and targets, in order
    counts: dict[str, int]  # split -> rows


class TensorRun(strict.Document, frozen=True):
    """The whole of run.json of a model that is no image classifier: one array in, one out.

    The model's input and output are called as the layers that they come from. samples.npz has `inputs` and `targets`, held-out rows.
    """

    schema: Literal["seethrough.run/1"]
    name: str
    recipe: str
    settings: dict[str, object]  # the recipe as it was run, overrides applied
    kind: Literal["tensor"]
    labels: list[str]  # what the numbers of an output row stand for; empty where they are no classes
    preprocess: PreprocessSpec | None  # how a picture becomes an input row; null where it takes no pictures
    dataset: Rows
    parameters: int
    seed: int
    epochs: int  # epochs that were run
    best_epoch: int  # counted from 1
    interrupted: bool  # ended by Ctrl-C before its last epoch
    metrics: dict[str, dict[str, float]]  # split -> name -> figure of the saved model
    started: str  # ISO 8601, UTC
    seconds: float
    command: str
    libraries: dict[str, str]


class _KindOnly(msgspec.Struct):
    kind: str


def is_tensor(folder: Path) -> bool:
    """Whether the run in `folder` is a TensorRun; raises BundleError when it is no run."""
    return strict.read(folder / RUN, _KindOnly).kind == "tensor"


def read(folder: Path) -> Run:
    """Reads run.json of an image classifier's run; raises BundleError when it is missing or not of this form."""
    return strict.read(folder / RUN, Run)


def read_tensors(folder: Path) -> TensorRun:
    """Reads run.json of a run of the kind `tensor`; raises BundleError like `read`."""
    return strict.read(folder / RUN, TensorRun)


def read_rows(folder: Path) -> tuple[NDArray[np.generic], NDArray[np.generic]]:
    """The held-out samples of a run of the kind `tensor`: inputs [S, ...] and targets [S, ...]. Raises BundleError."""
    stored = arrays.read(folder / SAMPLES, ("inputs", "targets"))
    return stored["inputs"], stored["targets"]


def read_samples(folder: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The held-out samples of a run: pixels uint8 [S, H, W, C] and labels int64 [S]. Raises BundleError."""
    stored: dict[str, Any] = arrays.read(folder / SAMPLES, ("pixels", "labels"))
    return stored["pixels"], stored["labels"]
