"""Random weights for a large network that answers differently for different pictures.

Trained weights are hundreds of MB of somebody else's, and speed does not depend on them. But with those of `weights=None` the
signal of a deep network fades, layer by layer: MobileNetV2 answers 0.001 for each of 1000 classes whatever it is shown, and
then no check of an answer proves anything. So batch normalisation gets the statistics of a few pictures, as training would
leave it, and the last layer is scaled and centred until the pictures' scores differ by about as much as a trained network's.
"""

from pathlib import Path
from typing import Annotated, Any

import keras
import numpy as np
import typer
from numpy.typing import NDArray

from bench.errors import give_up
from exporter.errors import ExportError
from exporter.from_keras import application
from exporter.from_onnx import pictures

_CLASSES = 1000
_PICTURES = 16
_DEVIATION = 2.0  # of a class's score over the pictures
# What normalised signals are moved by, in deviations. Around 0, half of them pass a ReLU, and a random network of fifty layers makes
# of two roundings of one picture two different heatmaps.
_OFFSET = 1.0

cli = typer.Typer(add_completion=False, rich_markup_mode=None)


@cli.command()
def main(
    name: Annotated[str, typer.Argument(help="An architecture of keras.applications.")],
    out: Annotated[Path, typer.Option(help="Where the weights go: a file NAME.weights.h5.")],
) -> None:
    """Write weights that `python -m exporter keras-application NAME --weights FILE` takes."""
    if not out.name.endswith(".weights.h5"):
        raise typer.BadParameter(f"{out}: the name must end in .weights.h5", param_hint="--out")
    keras.utils.set_random_seed(0)
    try:
        network = application.build(application.architecture(name), None, _CLASSES, None)
    except (ExportError, ValueError) as error:
        give_up(str(error))
    spread(network, pictures.generated(application.specification(network), _PICTURES))
    out.parent.mkdir(parents=True, exist_ok=True)
    network.layers[-1].save_weights(out)


def spread(network: keras.Model, pixels: NDArray[np.uint8]) -> None:
    """Gives `network` weights with which it tells the pictures [S, H, W, C] apart. Its last layer must be the classifier."""
    inner: Any = network.layers[-1]
    prepared = keras.Model(network.input, network.operations[-2].output)(pixels)
    _settle_normalisation(inner, prepared)
    _scale_scores(inner, prepared)


def _settle_normalisation(inner: Any, prepared: Any) -> None:
    layers = [layer for layer in inner.layers if isinstance(layer, keras.layers.BatchNormalization)]
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 0.0  # the statistics of this one batch replace those before
        layer.beta.assign(keras.ops.full_like(layer.beta, _OFFSET))
    inner(prepared, training=True)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum


def _scale_scores(inner: Any, prepared: Any) -> None:
    last = inner.layers[-1]
    features = np.asarray(keras.Model(inner.input, last.input)(prepared, training=False))
    kernel, _ = last.get_weights()
    kernel *= _DEVIATION / (features @ kernel).std(axis=0).mean()
    last.set_weights([kernel, -(features @ kernel).mean(axis=0)])


if __name__ == "__main__":
    cli(prog_name="python -m bench.peers.random_weights")
