"""Does the export hold for the architectures that people have? Every family of keras.applications, against TensorFlow.

The weights are random, as pretrained ones would have to be fetched, but brought to life: the statistics of every batch
normalisation are those of a batch, randomly shifted, and the last layer is scaled until the classes differ as those of a
trained network do. With weights as initialised, all probabilities are 1/1000 and nothing could be told apart.

The measure is TensorFlow's GradientTape on the Keras model. Both engines run the graph of a bundle from disk, in float32.

VGG needs luck, which its fixed weights and pictures have: the gradient of the max pooling after its map goes to the largest cell
of a window alone, and where two are equal up to rounding (about one of 60,000 windows), HiResCAM and LayerCAM, which look at
each cell, have their evidence in one or the other.
"""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import onnxruntime as ort
import openvino as ov
import typer
from numpy.typing import NDArray
from rich.progress import track

from bench.tables import Results, publish
from bundle.manifest import ONNX_MODEL, Method
from exporter import graphs, parity
from exporter.errors import ExportError
from exporter.from_keras import quiet
from exporter.gradcam import explain
from exporter.parity import Answers, Form
from exporter.tidy import tidy

if TYPE_CHECKING:
    import keras

# One or two of each family; a test makes sure that none is missing.
FAMILIES = (
    "VGG16",
    "VGG19",
    "ResNet50",
    "ResNet50V2",
    "InceptionV3",
    "InceptionResNetV2",
    "Xception",
    "MobileNet",
    "MobileNetV2",
    "MobileNetV3Small",
    "MobileNetV3Large",
    "DenseNet121",
    "NASNetMobile",
    "EfficientNetB0",
    "EfficientNetV2B0",
    "ConvNeXtTiny",
)
METHODS: tuple[Method, ...] = ("gradcam", "hirescam", "layercam")
TARGETS = np.array([-1, -2, 281])  # the top class, the second, and a given one
PROBABILITIES_LIMIT = 1e-4
HEATMAPS_LIMIT = 1e-3  # of a heatmap's maximum

_CLASSES = 1000
_PICTURES = 2
_SPREAD = 3.0  # standard deviation of the scores over the classes

cli = typer.Typer(add_completion=False, rich_markup_mode=None)

Size = tuple[int, int]  # height, width
Pixels = NDArray[np.uint8]  # [N, H, W, 3]


@dataclass(frozen=True)
class Differences:
    """How far an engine is from TensorFlow, at most, over all pictures and targets."""

    probabilities: float
    heatmaps: dict[Method, float]  # in parts of a heatmap's maximum
    ranked_alike: bool  # whether the targets name the same classes

    def hold(self) -> bool:
        """Whether all are within the limits."""
        heatmaps = max(self.heatmaps.values())
        return self.ranked_alike and self.probabilities <= PROBABILITIES_LIMIT and heatmaps <= HEATMAPS_LIMIT


@dataclass(frozen=True)
class Measured:
    """One architecture: the feature map that was found, and each engine's differences."""

    architecture: str
    size: Size
    layer: str  # path of the layer in the Keras model
    map: tuple[int, int, int]  # height, width, channels
    evidence: float  # the part of the compared heatmaps that are not empty
    engines: dict[str, Differences]

    def holds(self) -> bool:
        """Whether both engines give TensorFlow's answers, and there was something to compare."""
        return self.evidence > 0.5 and all(differences.hold() for differences in self.engines.values())


def measure(architecture: str, size: Size | None = None) -> Measured:
    """Exports an architecture with random weights and compares the answers; `size` None is the architecture's own."""
    quiet.start_tensorflow()
    import keras

    from exporter.from_keras import application, convert, names
    from exporter.from_keras.oracle import Oracle
    from exporter.from_onnx import pictures

    keras.utils.set_random_seed(0)
    model = application.build(application.architecture(architecture), None, _CLASSES, size)
    pixels = pictures.generated(application.specification(model), _PICTURES)
    bring_to_life(model, pixels)
    graph = convert.to_onnx(convert.trace(model))
    explained = explain(tidy(graph), None, METHODS)
    layer = names.match(model, graph, pixels).layer_of(explained.tensor)
    expected = _answers(Oracle(model, layer, METHODS), pixels)
    with tempfile.TemporaryDirectory() as temporary:
        graphs.write(explained.model, Path(temporary))
        engines = {name: _compare(form, expected, pixels) for name, form in _engines(Path(temporary) / ONNX_MODEL)}
    heatmaps = np.stack([heatmaps for _, heatmaps in expected.values()])
    return Measured(
        architecture=architecture,
        size=(pixels.shape[1], pixels.shape[2]),
        layer=layer,
        map=(explained.height, explained.width, explained.channels),
        evidence=float(heatmaps.any(axis=(-2, -1)).mean()),
        engines=engines,
    )


def bring_to_life(model: "keras.Model", pixels: Pixels) -> None:
    """Gives `model`, as it was built, random weights with which it tells pictures and classes apart; always the same ones.

    Each batch normalisation gets about the statistics of what enters it for `pixels`, from the first to the last in one pass
    (Mishkin and Matas, "All you need is a good init", ICLR 2016): else values would grow from layer to layer, and rounding with
    them.
    """
    from exporter.from_keras.taps import tapped

    random = np.random.default_rng(0)
    normalisations = {path: layer for path, layer in _layers(model) if hasattr(layer, "moving_variance")}

    def tap(path: str, output: Any) -> Any:
        layer = normalisations.get(path)
        if layer is None:
            return output
        _normalise(layer, np.asarray(output), random)  # which is what entered: until now it does nothing
        return layer.call(output, training=False)

    for path, layer in _layers(model):
        if path not in normalisations:
            _shake(layer, random)
    with tapped(tap):
        model(pixels, training=False)
    _spread(model, pixels)


def _shake(layer: Any, random: np.random.Generator) -> None:
    """Random scales and offsets."""
    for name, middle in (("gamma", 1.0), ("beta", 0.0), ("bias", 0.0)):
        if (weight := getattr(layer, name, None)) is not None:
            weight.assign(random.normal(middle, 0.2, weight.shape))


def _normalise(layer: Any, entering: NDArray[np.float32], random: np.random.Generator) -> None:
    """Statistics about those of `entering` [N, ..., C], scales and offsets random."""
    axes = tuple(range(entering.ndim - 1))
    mean, variance = entering.mean(axes), entering.var(axes)
    variance += 0.1 * variance.mean()  # a channel that is about the same everywhere must not be blown up
    layer.moving_mean.assign(mean + random.normal(0, 0.2, mean.shape) * np.sqrt(variance))
    layer.moving_variance.assign(variance * random.uniform(0.6, 1.6, mean.shape))
    _shake(layer, random)


def _spread(model: "keras.Model", pixels: Pixels) -> None:
    """Scales the last layer until the scores of the classes are as different as those of a trained network."""
    weights = [layer for _, layer in _layers(model) if hasattr(layer, "kernel")][-1].weights

    def scale(factor: float) -> None:
        for weight in weights:
            weight.assign(weight * factor)

    while not (probabilities := np.asarray(model(pixels, training=False))).all():
        scale(0.1)
    scale(_SPREAD / float(np.log(probabilities).std(axis=1).mean()))


def _layers(model: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """All layers with their paths, those of models inside the model too, in order."""
    for layer in model.layers:
        yield f"{path}{layer.name}", layer
        yield from _layers(layer, f"{path}{layer.name}/") if hasattr(layer, "layers") else ()


def _engines(path: Path) -> Iterator[tuple[str, Form]]:
    """The graph file on each engine."""
    yield "ONNX Runtime", parity.onnx_runtime(ort.InferenceSession(path, providers=["CPUExecutionProvider"]), METHODS)
    compiled = ov.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def openvino(pixels: Pixels, targets: NDArray[np.int64], method: Method) -> Answers:
        methods = np.full_like(targets, METHODS.index(method))
        found = compiled({"pixels": pixels, "targets": targets, "methods": methods})
        return found["probabilities"], found["heatmaps"]

    yield "OpenVINO", openvino


def _answers(form: Form, pixels: Pixels) -> dict[Method, Answers]:
    return {method: parity.answers_of(form, pixels, TARGETS, method) for method in METHODS}


def _compare(form: Form, expected: dict[Method, Answers], pixels: Pixels) -> Differences:
    found = _answers(form, pixels)
    return Differences(
        probabilities=max(parity.largest(found[method][0] - expected[method][0]) for method in METHODS),
        heatmaps={method: parity.largest(found[method][1] - expected[method][1]) for method in METHODS},
        ranked_alike=all(
            bool((parity.classes(found[method][0], TARGETS) == parity.classes(expected[method][0], TARGETS)).all())
            for method in METHODS
        ),
    )


def results(measured: Sequence[Measured], engine: str) -> Results:
    """The comparison on one engine as a table."""
    return Results(
        f"Architectures of keras.applications on {engine}",
        ("architecture", "input", "feature map", "max |Δp|", *METHODS),
        [_row(each, engine) for each in measured],
        (
            f"Random weights, {_PICTURES} pictures; the top class, the second, and class {TARGETS[-1]}. Largest differences from "
            "TensorFlow's GradientTape; heatmaps are scaled to a maximum of 1. Limits: "
            f"{PROBABILITIES_LIMIT:.0e} for probabilities, {HEATMAPS_LIMIT:.0e} for heatmaps.",
            f"{sum(each.engines[engine].hold() for each in measured)} of {len(measured)} hold.",
        ),
    )


def _row(each: Measured, engine: str) -> list[str]:
    found = each.engines[engine]
    size, feature_map = (" x ".join(str(length) for length in lengths) for lengths in (each.size, each.map))
    figures = [f"{figure:.1e}" for figure in (found.probabilities, *found.heatmaps.values())]
    return [each.architecture, size, f"{each.layer.rpartition('/')[2]}, {feature_map}", *figures]


@cli.command()
def main(
    architectures: Annotated[
        list[str] | None, typer.Argument(help="Which ones; without any, one or two of every family.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Write the table to this Markdown file.")] = Path("docs/families.md"),
) -> None:
    """Compare exported architectures with TensorFlow; the exit status is 1 unless all are within the limits."""
    chosen = architectures or list(FAMILIES)
    # Each in a process of its own: TensorFlow gives no memory back.
    with get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        outcomes = list(track(pool.imap(_attempt, chosen), "exporting", len(chosen)))
    measured = [outcome for outcome in outcomes if isinstance(outcome, Measured)]
    if measured:
        publish([results(measured, engine) for engine in measured[0].engines], out)
    for failure in (outcome for outcome in outcomes if isinstance(outcome, str)):
        typer.echo(f"error: {failure}", err=True)
    raise typer.Exit(len(measured) < len(chosen) or not all(each.holds() for each in measured))


def _attempt(architecture: str) -> Measured | str:
    """What was measured, or why there is nothing to measure: the others go on."""
    try:
        return measure(architecture)
    except ExportError as error:
        return f"{architecture}: {error}"


if __name__ == "__main__":
    cli(prog_name="python -m bench.families")
