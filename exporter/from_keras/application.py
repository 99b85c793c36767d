"""An architecture of keras.applications becomes a candidate for a bundle.

The network is put into a model that takes uint8 pixels and begins with Keras' own `preprocess_input` for it: blue first minus
means for VGG and ResNet, -1 to 1 for Inception and MobileNet, mean and deviation for DenseNet, nothing for those that have it
inside (EfficientNet, MobileNetV3, ConvNeXt).

Of a picture, the centre is seen, at 0.875 of its shorter side: the evaluation on ImageNet that the papers report ("resize to
256, crop 224"), by bilinear resampling. Keras' examples squeeze the whole picture into a square instead, which none of these
networks was trained on.
"""

import hashlib
import inspect
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import numpy as np
import typer
from numpy.typing import NDArray

from bundle.manifest import Provenance
from bundle.preprocess import PreprocessSpec
from exporter import labels
from exporter.candidate import Candidate
from exporter.errors import ExportError
from exporter.from_keras import convert, names
from exporter.from_keras.oracle import Oracle
from exporter.from_onnx import pictures

_DEFAULT_SIZE = 224  # of the architectures that leave it open


@dataclass(frozen=True)
class Choices:
    """What the person who exports has said of the model."""

    name: str  # of the architecture, in any case
    weights: str  # imagenet, none, or the path of a file
    labels: Path | None  # None: the 1000 of ImageNet
    size: tuple[int, int] | None  # height, width; None: the architecture's own
    pictures: Path | None
    samples: int


def candidate(choices: Choices, step: Callable[[str], None]) -> Candidate:
    """The network that `choices` asks for; `step` is called with the name of each step as it begins.

    Raises ExportError when there is no such architecture or its weights cannot be had.
    """
    step("build the network")
    builder = architecture(choices.name)
    named = labels.imagenet() if choices.labels is None else labels.read(choices.labels)
    network = _with_weights(builder, choices.weights, len(named), choices.size)
    spec = specification(network)
    step("read the pictures")
    pixels = _pictures(choices, spec)
    step("convert to ONNX")
    graph = convert.to_onnx(convert.trace(network))
    layers = names.match(network, graph, pixels)
    return Candidate(
        graph=graph,
        labels=named,
        preprocess=spec,
        pixels=pixels,
        samples=None,
        names=layers,
        provenance=_provenance(builder.__name__, choices.weights),
        reference=lambda explained, layer: Oracle(network, layers.path_of(layer), explained.methods),
    )


def architectures() -> dict[str, Callable[..., keras.Model]]:
    """Every architecture of keras.applications: what builds it, by its name."""
    return dict(inspect.getmembers(keras.applications, inspect.isfunction))


def architecture(name: str) -> Callable[..., keras.Model]:
    """What builds the architecture of this name, in any case; raises ExportError with those that there are."""
    for known, builder in architectures().items():
        if known.lower() == name.lower():
            return builder
    raise ExportError(f"keras.applications has no architecture {name!r}; choose one of {', '.join(architectures())}")


def build(
    builder: Callable[..., keras.Model], weights: str | None, classes: int, size: tuple[int, int] | None
) -> keras.Model:
    """The network with its preprocessing: pixels u8 [N, H, W, 3] -> probabilities f32 [N, `classes`].

    `weights` is "imagenet" or None, for random ones. Raises ValueError for a size or number of classes that it cannot have.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of sizes that it chooses as documented
        network = builder(weights=weights, classes=classes, input_shape=(*size, 3) if size else None)
    height, width = (found or _DEFAULT_SIZE for found in network.inputs[0].shape[1:3])
    pixels = keras.Input((height, width, 3), dtype="uint8")
    module = getattr(keras.applications, builder.__module__.rpartition(".")[2])
    return keras.Model(pixels, network(module.preprocess_input(keras.ops.cast(pixels, "float32"))))


def specification(network: keras.Model) -> PreprocessSpec:
    """How a picture becomes the pixels of `network`."""
    height, width = network.inputs[0].shape[1:3]
    return PreprocessSpec(
        height=height,
        width=width,
        colour="rgb",
        fit="cover",
        crop=0.875,
        resampling="bilinear",
        background=(0, 0, 0),
    )


def _with_weights(
    builder: Callable[..., keras.Model], weights: str, classes: int, size: tuple[int, int] | None
) -> keras.Model:
    try:
        network = build(builder, "imagenet" if weights == "imagenet" else None, classes, size)
    except ValueError as error:
        raise ExportError(f"{builder.__name__}: {error}") from error
    except Exception as error:  # Keras raises plain Exception when a download fails
        raise ExportError(
            f"{builder.__name__}: the ImageNet weights cannot be had: {error}; fetch the file where there is a network and "
            "give it as --weights PATH, or try things out with --weights none"
        ) from error
    if weights not in ("imagenet", "none"):
        _load(network, Path(weights), classes)
    return network


def _load(network: keras.Model, path: Path, classes: int) -> None:
    """Reads weights into the architecture inside `network`."""
    if not path.is_file():
        raise ExportError(
            f"--weights {path}: there is no such file; give imagenet, none, or the path of a weights file"
        )
    inner: Any = network.layers[-1]
    try:
        inner.load_weights(path)
    except Exception as error:  # Keras lets through whatever zip and HDF5 readers raise
        raise ExportError(
            f"--weights {path}: cannot be read as weights of {inner.name} with {classes} classes: {error}; give --labels when "
            "it has other classes than ImageNet's"
        ) from error


def _pictures(choices: Choices, spec: PreprocessSpec) -> NDArray[np.uint8]:
    if choices.pictures is None:
        return pictures.generated(spec, choices.samples)
    pixels, skipped = pictures.decoded(choices.pictures, spec, choices.samples)
    for reason in skipped:
        typer.echo(f"left out {reason}", err=True)
    return pixels


def _provenance(name: str, weights: str) -> Provenance:
    known = {"imagenet": "ImageNet weights", "none": "random weights"}
    details = {"architecture": name, "weights": known.get(weights, Path(weights).name)}
    if weights not in known:
        details["weights_sha256"] = hashlib.sha256(Path(weights).read_bytes()).hexdigest()
    return Provenance(
        source=f"keras.applications.{name}, {known.get(weights, f'weights of {Path(weights).name}')}",
        details=details,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        libraries={tool: version(tool) for tool in ("keras", "tensorflow", *convert.LIBRARIES)},
    )
