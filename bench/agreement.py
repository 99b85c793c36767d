"""Is the served answer the trained model's answer? Every picture of a test set through both, compared.

One side is the whole of serving: picture files over gRPC, decoded, batched and inferred by the server. The other is Keras
`predict` of the run's model.keras, on pixels from the same files. What differs is everything the promise is about.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from bench import pictures
from bench.errors import give_up
from bench.pictures import Labelled
from bench.tables import Results, publish
from bench.target import target_or_own
from bundle import preprocess, run
from bundle.errors import BundleError, PictureError
from bundle.run import KERAS_MODEL, Run
from client.client import Client
from client.errors import ClassifyError
from client.work import Job, classify_all

TOLERANCE = 1e-4
_CONCURRENCY = 32

cli = typer.Typer(add_completion=False, rich_markup_mode=None)


@dataclass(frozen=True)
class Agreement:
    """What came of the comparison of `images` pictures."""

    images: int
    different_classes: int
    max_difference: float  # largest |Δp| over all pictures and classes
    served_accuracy: float
    keras_accuracy: float

    def holds(self, tolerance: float) -> bool:
        """Whether all classes are the same and no probability differs by more than `tolerance`."""
        return self.different_classes == 0 and self.max_difference <= tolerance


@cli.command()
def main(
    folder: Annotated[Path, typer.Argument(help="Run folder whose model.keras is the truth.", metavar="RUN")],
    pictures_in: Annotated[
        Path, typer.Option("--pictures", help="Folder of pictures with truth.csv, sent one picture a call.")
    ],
    model: Annotated[str, typer.Option(help="Name under which that run is served.")],
    target: Annotated[str | None, typer.Option(help="Running server; without it one is started on --models.")] = None,
    models: Annotated[Path, typer.Option(help="Bundles for the server that is started.")] = Path("models"),
    tolerance: Annotated[float, typer.Option(help="Largest |Δp| that still counts as agreement.", min=0)] = TOLERANCE,
    out: Annotated[Path | None, typer.Option(help="Write the table to this Markdown file too.")] = None,
) -> None:
    """Compare served answers with Keras'; the exit status is 1 unless all classes agree within the tolerance."""
    try:
        recorded, labelled = run.read(folder), pictures.read(pictures_in)
        with target_or_own(target, models) as address:
            result = measure(folder, recorded, labelled, model, address)
    except (BundleError, ClassifyError, PictureError, OSError, RuntimeError, ValueError) as error:
        give_up(str(error))
    publish([results(result, model, tolerance)], out)
    raise typer.Exit(not result.holds(tolerance))


def measure(folder: Path, recorded: Run, labelled: list[Labelled], model: str, target: str) -> Agreement:
    """Sends `labelled` to the server at `target` and to Keras. Raises ClassifyError if a picture got no answer."""
    truth = np.array([recorded.labels.index(each.label) for each in labelled])
    served = _served(labelled, model, len(recorded.labels), target)
    trained = _trained(folder, recorded, labelled)
    return Agreement(
        images=len(labelled),
        different_classes=int((served.argmax(1) != trained.argmax(1)).sum()),
        max_difference=float(np.abs(served - trained).max()),
        served_accuracy=float((served.argmax(1) == truth).mean()),
        keras_accuracy=float((trained.argmax(1) == truth).mean()),
    )


def _served(labelled: list[Labelled], model: str, labels: int, target: str) -> NDArray[np.float64]:
    """Probabilities [N, K] from the server."""
    probabilities = np.full((len(labelled), labels), np.nan)
    job = Job(model, version=0, top_k=labels, explain=None, batch=1, concurrency=_CONCURRENCY)
    with Client(target) as client:
        answers = classify_all(client, [each.picture for each in labelled], job)
        for place, (_, result) in enumerate(track(answers, "server", len(labelled), console=Console(stderr=True))):
            if result.error is not None:
                raise result.error
            for prediction in result.predictions:
                probabilities[place, prediction.class_index] = prediction.probability
    return probabilities


def _trained(folder: Path, recorded: Run, labelled: list[Labelled]) -> NDArray[np.float64]:
    """Probabilities [N, K] from Keras; a single sigmoid p stands for [1 - p, p]."""
    import keras

    pixels = [preprocess.from_bytes(each.picture.read(), recorded.preprocess).pixels for each in labelled]
    model: Any = keras.models.load_model(folder / KERAS_MODEL)
    answers = np.asarray(model.predict(np.stack(pixels), batch_size=256, verbose=0), np.float64)
    return np.hstack([1 - answers, answers]) if recorded.kind == "binary" else answers


def results(agreement: Agreement, model: str, tolerance: float) -> Results:
    """The comparison as a table."""
    verdict = "agree" if agreement.holds(tolerance) else "DO NOT AGREE"
    rows = [
        ("pictures", f"{agreement.images:,}"),
        ("different classes", str(agreement.different_classes)),
        ("max |Δp|", f"{agreement.max_difference:.2e}"),
        ("accuracy, served", f"{agreement.served_accuracy:.4f}"),
        ("accuracy, Keras predict", f"{agreement.keras_accuracy:.4f}"),
    ]
    return Results(f"{model}: server and trained model {verdict}", ("", "value"), rows)


if __name__ == "__main__":
    cli(prog_name="python -m bench.agreement")
