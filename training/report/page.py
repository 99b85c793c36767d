"""The page, from the answers of a run on its test pictures."""

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from importlib import resources
from pathlib import Path
from string import Template

import keras
import numpy as np
from numpy.typing import NDArray

from bundle.run import Run
from training import calibration
from training.answers import Answers
from training.errors import RecipeError
from training.look import sheets
from training.look.extent import Extent, extent
from training.look.gradcam import GradCam
from training.look.network import Network, behind_floats
from training.report import figures

REPORT = "report.html"
WORST = 12  # mistakes that are shown


@dataclass(frozen=True)
class Subject:
    """What the page is about."""

    run: Run
    model: keras.Model
    test: Answers
    told: str  # what the test pictures are


def write(folder: Path, subject: Subject) -> None:
    """Writes report.html into the run folder, which has the run's pictures already; replaces an older one as a whole."""
    partial = folder / f".{REPORT}"
    partial.write_text(render(folder, subject), encoding="utf-8")
    partial.replace(folder / REPORT)


def render(folder: Path, subject: Subject) -> str:
    """The page; curves and confusion matrix are the pictures in `folder`."""
    run, test = subject.run, subject.test
    found = calibration.reliability(test.probabilities, test.labels)
    wrong = int((test.predicted != test.labels).sum())
    template = Template((resources.files("training") / "report" / "report.html").read_text(encoding="utf-8"))
    return template.substitute(
        title=escape(run.name),
        summary=escape(
            f"{run.metrics['test'].accuracy:.2%} of the test pictures are answered rightly, from epoch {run.best_epoch} of {run.epochs}, "
            f"by {run.parameters:,} parameters."
        ),
        curves=_stored(folder / "learning_curves.png"),
        confusion=_stored(folder / "confusion_matrix.png"),
        splits="\n".join(
            _row(
                split, f"{each.loss:.4f}", f"{each.accuracy:.2%}", f"{sum(run.dataset.class_counts[split].values()):,}"
            )
            for split, each in run.metrics.items()
        ),
        calibration=figures.calibration(found),
        error=f"{found.error:.4f}",
        bins=calibration.BINS,
        classes="\n".join(_classes(run.labels, test)),
        told=escape(subject.told),
        wrong=f"{wrong:,} of {len(test.labels):,}",
        mistakes="\n".join(_mistakes(subject)),
        recipe=escape(run.recipe),
        dataset=escape(f"{run.dataset.name}, SHA-256 {run.dataset.fingerprint[:16]}…"),
        command=escape(run.command),
        started=escape(f"{run.started}, {run.seconds:.0f} s"),
        seed=run.seed,
        libraries=escape(", ".join(f"{name} {version}" for name, version in run.libraries.items())),
    )


def _stored(path: Path) -> str:
    return figures.address(path.read_bytes())


def _row(*cells: str) -> str:
    return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"


def _classes(labels: list[str], test: Answers) -> Iterator[str]:
    """A row for each class: how much of what is answered so is right, and how much of what is so is answered so."""
    for number, label in enumerate(labels):
        true, answered = test.labels == number, test.predicted == number
        both = int((true & answered).sum())
        precision, recall = (both / max(1, int(each.sum())) for each in (answered, true))
        harmonic = 2 * precision * recall / (precision + recall) if both else 0.0
        sure = test.probabilities[answered, number].mean() if answered.any() else 0.0
        yield _row(label, f"{true.sum():,}", f"{precision:.2%}", f"{recall:.2%}", f"{harmonic:.4f}", f"{sure:.3f}")


def _mistakes(subject: Subject) -> Iterator[str]:
    """The wrong answers that were the surest, under the evidence for the answer and for the truth."""
    test = subject.test
    wrong = np.flatnonzero(test.predicted != test.labels)
    worst = wrong[np.argsort(-test.sureness[wrong], kind="stable")][:WORST]
    if not len(worst):
        return
    asked = {"answer": test.predicted[worst], "truth": test.labels[worst]}
    evidence = {name: _evidence(subject.model, test.pixels[worst], classes) for name, classes in asked.items()}
    for place, member in enumerate(worst.tolist()):
        pixels = figures.enlarged(test.pixels[member])
        tiles = [(sheets.shown(pixels), f"test picture {member}")]
        for name, classes in asked.items():
            number, found = int(classes[place]), evidence[name]
            shown = sheets.overlaid(pixels, found[0][place], "viridis", found[1]) if found else sheets.shown(pixels)
            told = f"{name}: {subject.run.labels[number]} {test.probabilities[member, number]:.3f}"
            tiles.append((shown, told))
        yield '<div class="example"><div class="tiles">' + "".join(_tile(*tile) for tile in tiles) + "</div></div>"


def _tile(pixels: NDArray[np.uint8], told: str) -> str:
    told = escape(told)
    return f'<figure><img src="{figures.picture(pixels)}" alt="{told}"><figcaption>{told}</figcaption></figure>'


def _evidence(
    model: keras.Model, pixels: NDArray[np.uint8], classes: NDArray[np.int64]
) -> tuple[NDArray[np.float32], tuple[Extent, Extent]] | None:
    """Grad-CAM at the last convolution, float32 [N, h, w], and where it lies; None for a network that has none."""
    network = Network(behind_floats(model), [], None)
    try:
        path = network.convolutions()[-1]
    except RecipeError:
        return None
    heatmaps = GradCam(network.model).heatmaps(pixels.astype(np.float32), path, classes.tolist())
    return heatmaps, extent(network.model, path)
