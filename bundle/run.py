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


def read(folder: Path) -> Run:
    """Reads run.json of the run in `folder`; raises BundleError when it is missing or not of this form."""
    return strict.read(folder / RUN, Run)


def read_samples(folder: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The held-out samples of a run: pixels uint8 [S, H, W, C] and labels int64 [S]. Raises BundleError."""
    stored: dict[str, Any] = arrays.read(folder / SAMPLES, ("pixels", "labels"))
    return stored["pixels"], stored["labels"]
