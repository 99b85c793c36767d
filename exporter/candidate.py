"""A classifier on its way into a bundle: what every origin has to bring, and nothing that only one of them knows.

from_keras   a run folder, or an architecture of keras.applications
from_onnx    any ONNX file
bundling     takes it from here: compiles Grad-CAM, compares, seals
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import onnx
from numpy.typing import NDArray

from bundle.manifest import Method, Provenance
from bundle.preprocess import PreprocessSpec
from bundle.samples import Samples
from exporter.gradcam import Explained
from exporter.parity import Answers
from exporter.report import Check


class Names(Protocol):
    """The names by which the people who made the model know its tensors."""

    def tensor_of(self, layer: str) -> str:
        """The tensor that is the output of `layer`; raises ExportError naming the layers that can be chosen."""
        ...

    def layer_of(self, tensor: str) -> str:
        """The layer that `tensor` is the output of; raises ExportError when there is none."""
        ...


class Reference(Protocol):
    """The model as it was given: the measure for everything that is made of it."""

    name: str  # for people: "Keras"

    def __call__(self, pixels: NDArray[np.uint8], targets: NDArray[np.int64], method: Method) -> Answers:
        """pixels u8 [N, H, W, C], targets i64 [N, M] -> probabilities f32 [N, K], heatmaps f32 [N, M, h, w], 0..1."""
        ...

    def write(self, folder: Path) -> None:
        """Adds to the bundle's folder the forms of the model that only this origin has."""
        ...

    def checks(self, folder: Path, pixels: NDArray[np.uint8]) -> list[Check]:
        """Checks the reference itself, and what `write` wrote, on `pixels`."""
        ...


@dataclass(frozen=True)
class Candidate:
    """A classifier, what belongs to it, and the means to judge its exported form."""

    graph: onnx.ModelProto  # pixels u8 [N, H, W, C] -> one output that ends in a softmax or sigmoid
    labels: list[str]
    preprocess: PreprocessSpec
    pixels: NDArray[np.uint8]  # [S, H, W, C]: pictures to compare answers on, S >= 1
    samples: Samples | None  # real pictures with their labels, for the bundle to keep
    names: Names
    provenance: Provenance
    reference: Callable[[Explained, str], Reference]  # given the explained graph and the layer of its feature map
