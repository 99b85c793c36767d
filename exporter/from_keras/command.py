"""The export commands that start from Keras. TensorFlow is started inside them: `--help` does not wait for it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from exporter import commandline
from exporter.candidate import Candidate
from exporter.commandline import Layer, Methods, Out, Step
from exporter.from_keras import quiet


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
    """Convert a trained Keras model to ONNX and SavedModel with Grad-CAM inside, and check both against it."""

    def candidate(step: Step) -> Candidate:
        step("start TensorFlow")
        quiet.start_tensorflow()
        from exporter.from_keras import run

        return run.candidate(folder, samples, step)

    commandline.make_bundle(_STEPS, candidate, out, layer, method)


_STEPS: Sequence[str] = ("start TensorFlow", "read the run", "convert to ONNX")
