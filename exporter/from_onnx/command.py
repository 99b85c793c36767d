"""The commands that start from an ONNX file. Neither needs TensorFlow, but for listing the layers of a Keras model."""

from pathlib import Path
from typing import Annotated

import onnx_ir as ir
import typer
from onnx import ModelProto

from bundle.manifest import REPORT
from exporter import commandline
from exporter.candidate import Candidate, Names
from exporter.commandline import Layer, Methods, Out, Pictures, Samples, Size, Step, parsed_size
from exporter.from_onnx import activation as ends
from exporter.from_onnx import file, listing, preamble, presets, tensors
from exporter.from_onnx.activation import Wanted
from exporter.from_onnx.file import Choices, Reading
from exporter.from_onnx.read import Layout

OnnxFile = Annotated[
    Path,
    typer.Argument(
        help="An ONNX classifier of one batch of pictures. Weights in a file beside it are found.",
        metavar="MODEL.onnx",
        exists=True,
        dir_okay=False,
    ),
]
Labels = Annotated[
    str,
    typer.Option(
        help="The names of the classes in the order of the model's outputs: a text file with one a line, a JSON list, a "
        'JSON object {"0": "..."}, or the word imagenet for the 1000 classes of ImageNet-1k.',
        metavar="FILE|imagenet",
    ),
]
Preprocess = Annotated[
    str,
    typer.Option(
        help="What is done to a picture before the model; it becomes a part of the graph. imagenet-torch: 0..1, minus mean "
        "and by deviation of ImageNet, as torchvision and timm do. imagenet-caffe: blue first, minus the mean of "
        "ImageNet. imagenet-tf: -1..1. unit: 0..1. none: 0..255. A TOML file can say anything else: colour, fit, crop, "
        "resampling, background, scale, mean, deviation, all of them.",
        metavar="PRESET|FILE",
    ),
]
Activation = Annotated[
    Wanted,
    typer.Option(
        help="What makes probabilities of the model's scores, where it ends in scores: softmax when one class is right, "
        "sigmoid when each label is right or wrong by itself. auto: the one that the model ends in."
    ),
]
LayoutOption = Annotated[
    Layout | None,
    typer.Option(help="Which axis of the model's input has the channels, where its sizes do not tell."),
]
Output = Annotated[
    str | None, typer.Option(help="The output with a number for each class, for a model with several outputs.")
]


def onnx(
    model: OnnxFile,
    labels: Labels,
    preprocess: Preprocess,
    out: Out,
    layer: Layer = None,
    method: Methods = ["gradcam"],  # noqa: B006  # typer copies it
    activation: Activation = "auto",
    size: Size = None,
    layout: LayoutOption = None,
    output: Output = None,
    pictures: Pictures = None,
    samples: Samples = 64,
) -> None:
    """Bring any ONNX classifier into a bundle: uint8 pixels in, Grad-CAM inside, checked against the file itself."""
    reading = Reading(parsed_size(size), layout, output)
    choices = Choices(reading, labels, preprocess, activation, pictures, samples)

    def candidate(step: Step) -> Candidate:
        return file.candidate(model, choices, step, warn=lambda reason: typer.echo(reason, err=True))

    commandline.make_bundle(file.STEPS, candidate, out, layer, method)


def tensor(
    model: Annotated[
        Path,
        typer.Argument(
            help="An ONNX model whose inputs and outputs all have the batch as their first axis.",
            metavar="MODEL.onnx",
            exists=True,
            dir_okay=False,
        ),
    ],
    out: Out,
    samples: Annotated[
        Path | None,
        typer.Option(
            help="An .npz file with rows for each input, to compare answers on. Without it: made-up numbers.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    rows: Annotated[int, typer.Option(help="How many rows to make up.", min=2)] = 16,
) -> None:
    """Bring any ONNX model that takes no images: named arrays in and out, batched by the server, asked by V2."""
    with commandline.making(out, tensors.STEPS) as step:
        report = tensors.export(model, samples, rows, out, step)
    typer.echo(f"checks       all {len(report.checks)} passed, on {report.samples} rows; figures in {out / REPORT}")
    typer.echo(f"bundle       {out}")


def layers(
    model: Annotated[
        Path, typer.Argument(help="An ONNX file, a .keras file, or a run folder.", metavar="MODEL", exists=True)
    ],
    size: Size = None,
    layout: LayoutOption = None,
    output: Output = None,
) -> None:
    """List the layers that a model can be explained by: those with a spatial map that its whole answer passes."""
    reading = Reading(parsed_size(size), layout, output)
    with commandline.told_in_one_line():
        graph, names = _listed(model, reading) if model.suffix == ".onnx" else _from_keras(model)
        listing.show(listing.table(graph, names))


def _listed(path: Path, reading: Reading) -> tuple[ModelProto, Names]:
    """A classifier's graph without arithmetic, which moves no layer, and an end to it where there is none."""
    network = file.network_of(path, reading)
    ends.complete(network.program, "auto" if ends.present(network.program) else "sigmoid")
    preamble.add(network.program, network.measure.image, presets.read("none", network.measure.image).arithmetic)
    return ir.to_proto(network.program), network.names


def _from_keras(path: Path) -> tuple[ModelProto, Names]:
    from exporter.from_keras import quiet

    quiet.start_tensorflow()
    from exporter.from_keras.names import graph_and_names

    return graph_and_names(path)
