"""An ONNX file becomes a candidate for a bundle."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from bundle.preprocess import PreprocessSpec
from exporter import labels
from exporter.candidate import Candidate
from exporter.from_onnx import activation, names, pictures, preamble, prepare, presets, provenance, read
from exporter.from_onnx.activation import After, Wanted
from exporter.from_onnx.original import Original
from exporter.from_onnx.read import Layout
from exporter.from_onnx.reference import FileReference
from exporter.from_onnx.running import Network

STEPS = ("read the network", "add the arithmetic", "read the pictures")

_MADE: dict[After, str] = {
    "nothing": "in the file",
    "exp": "log-softmax in the file, softmax here",
    "softmax": "softmax added",
    "sigmoid": "sigmoid added",
}


@dataclass(frozen=True)
class Reading:
    """What the file alone does not say of its input and output."""

    size: tuple[int, int] | None  # height, width
    layout: Layout | None
    output: str | None


@dataclass(frozen=True)
class Choices:
    """What the person who exports has said of the model."""

    reading: Reading
    labels: str
    preprocess: str
    activation: Wanted
    pictures: Path | None
    samples: int


@dataclass(frozen=True)
class Classifier:
    """A file's network, before anything is said about pixels and probabilities."""

    measure: Network  # as it was given
    program: ir.Model  # as `prepare` made it; what follows is added to it
    names: names.NodeNames


def network_of(path: Path, reading: Reading) -> Classifier:
    """The network in the file at `path`; raises ExportError when it is none that can be exported."""
    given = read.load(path)
    image = read.image_input(given, reading.size, reading.layout)
    measure = prepare.measure(given, image, read.class_output(given, reading.output))
    program = prepare.prepare(measure)
    return Classifier(measure, program, names.of(ir.to_proto(program.graph)))


def candidate(path: Path, choices: Choices, step: Callable[[str], None], warn: Callable[[str], None]) -> Candidate:
    """The classifier in the file at `path`.

    `step` is called with the name of each of STEPS as it begins, `warn` with the reason why a picture was left out. Raises
    ExportError when the file, or what was said of it, does not make a classifier.
    """
    step("read the network")
    network = network_of(path, choices.reading)
    step("add the arithmetic")
    preprocessing = presets.read(choices.preprocess, network.measure.image)
    after = activation.complete(network.program, choices.activation)
    named = labels.named(choices.labels, activation.labels(network.program))
    preamble.add(network.program, network.measure.image, preprocessing.arithmetic)
    graph = ir.to_proto(network.program)
    step("read the pictures")
    pixels, told = _pictures(choices, preprocessing.pixels, warn)
    original = Original(network.measure, preprocessing.arithmetic, after)
    activation.refuse_probabilities(original.scores(pixels), after)
    details = {"preprocess": Path(choices.preprocess).name, "activation": _MADE[after], "pictures": told}
    return Candidate(
        graph=graph,
        labels=named,
        preprocess=preprocessing.pixels,
        pixels=pixels,
        samples=None,
        names=network.names,
        provenance=provenance.of_file(path, network.measure.model, details, ("onnx", "onnx-ir", "onnxruntime")),
        reference=lambda explained, _layer: FileReference(original, graph, explained),
    )


def _pictures(choices: Choices, spec: PreprocessSpec, warn: Callable[[str], None]) -> tuple[NDArray[np.uint8], str]:
    """The pictures to compare answers on, and what they are in words."""
    if choices.pictures is None:
        pixels = pictures.generated(spec, choices.samples)
        return pixels, f"{len(pixels)} generated"
    pixels, skipped = pictures.decoded(choices.pictures, spec, choices.samples)
    for reason in skipped:
        warn(f"left out {reason}")
    return pixels, f"{len(pixels)} of {choices.pictures.name}"
