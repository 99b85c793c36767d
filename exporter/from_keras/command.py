"""The export commands that start from Keras. TensorFlow is started inside them: `--help` does not wait for it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from bundle import run as runs
from bundle.manifest import REPORT
from exporter import commandline, tensors
from exporter.candidate import Candidate
from exporter.commandline import Layer, Methods, Out, Pictures, Samples, Size, Step, parsed_size
from exporter.from_keras import quiet

_RUN_STEPS: Sequence[str] = ("start TensorFlow", "read the run", "convert to ONNX")
_APPLICATION_STEPS: Sequence[str] = ("start TensorFlow", "build the network", "read the pictures", "convert to ONNX")

Architecture = Annotated[
    str, typer.Argument(help="The architecture, such as MobileNetV2. A wrong name lists them.", metavar="NAME")
]
Weights = Annotated[
    str,
    typer.Option(
        help="imagenet: the trained weights, fetched by Keras once. PATH: a weights file (.h5, .weights.h5, .keras). "
        "none: random ones, to try things out.",
        metavar="imagenet|PATH|none",
    ),
]
Labels = Annotated[
    Path | None,
    typer.Option(
        help="The names of the classes, for weights of other classes than ImageNet's 1000: a text file with one a line, or "
        "JSON.",
        exists=True,
        dir_okay=False,
    ),
]


def keras(
    folder: Annotated[
        Path,
        typer.Argument(help="The run folder that training left behind.", metavar="RUN", exists=True, file_okay=False),
    ],
    out: Out,
    layer: Layer = None,
    method: Methods = ["gradcam"],  # noqa: B006  # typer copies it
    samples: Annotated[
        int, typer.Option(min=1, help="Compare the answers on this many held-out pictures, or as many as there are.")
    ] = 512,
) -> None:
    """Convert a trained Keras model to ONNX and SavedModel with Grad-CAM inside, and check both against it.

    A run that classifies no pictures becomes a bundle of arrays, which has no explanations and no SavedModel.
    """
    with commandline.told_in_one_line():
        if runs.is_tensor(folder):
            _keras_tensors(folder, out, samples, explained=layer is not None or list(method) != ["gradcam"])
            return

    def candidate(step: Step) -> Candidate:
        step("start TensorFlow")
        quiet.start_tensorflow()
        from exporter.from_keras import run

        return run.candidate(folder, samples, step)

    commandline.make_bundle(_RUN_STEPS, candidate, out, layer, method)


def _keras_tensors(folder: Path, out: Path, samples: int, *, explained: bool) -> None:
    if explained:
        raise typer.BadParameter(
            f"{folder} classifies no pictures; nothing explains it", param_hint="--layer, --method"
        )
    with commandline.making(out, [*_RUN_STEPS, *tensors.STEPS]) as step:
        step("start TensorFlow")
        quiet.start_tensorflow()
        from exporter.from_keras import tensors as from_run

        report = tensors.export(from_run.candidate(folder, samples, step), out, step)
    typer.echo(f"checks       all {len(report.checks)} passed, on {report.samples} rows; figures in {out / REPORT}")
    typer.echo(f"bundle       {out}")


def keras_application(
    name: Architecture,
    out: Out,
    weights: Weights = "imagenet",
    labels: Labels = None,
    layer: Layer = None,
    method: Methods = ["gradcam"],  # noqa: B006  # typer copies it
    size: Size = None,
    pictures: Pictures = None,
    samples: Samples = 64,
) -> None:
    """Bring an architecture of keras.applications, with the preprocessing and the labels that belong to it."""
    wanted = parsed_size(size)

    def candidate(step: Step) -> Candidate:
        step("start TensorFlow")
        quiet.start_tensorflow()
        from exporter.from_keras import application

        return application.candidate(application.Choices(name, weights, labels, wanted, pictures, samples), step)

    commandline.make_bundle(_APPLICATION_STEPS, candidate, out, layer, method)
