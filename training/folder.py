"""The run folder: everything that a trained model leaves behind, written from its predictions on the three splits.

The figures of all splits are taken from the saved weights, after training, as the server will use them: without dropout
and not as running means.
"""

import csv
import platform
from collections.abc import Mapping
from dataclasses import astuple
from importlib import metadata
from pathlib import Path

import keras
import numpy as np

from bundle import run, strict
from bundle.run import Run
from bundle.samples import UNKNOWN
from training import diagram, gallery, plots
from training.answers import Answers
from training.data.dataset import SplitName, balanced
from training.fit import ACCURACY, Epoch
from training.report import page

SAMPLES = 512
LIBRARIES = ("keras", "tensorflow", "numpy", "pillow")


def write(
    folder: Path, document: Run, model: keras.Model, history: list[Epoch], answers: Mapping[SplitName, Answers]
) -> None:
    """Writes all files of a run into the existing `folder`."""
    model.save(folder / run.KERAS_MODEL)
    strict.write(folder / run.RUN, document)
    _write_samples(folder / run.SAMPLES, answers["test"])
    write_history(folder / run.HISTORY, history, ACCURACY)
    plots.learning_curves(folder / "learning_curves.png", history, document.best_epoch, answers["test"])
    if document.kind == "multilabel":
        plots.labels_found(folder / "labels.png", document.labels, answers["test"])
    else:
        plots.confusion_matrix(folder / "confusion_matrix.png", document.labels, answers["test"])
        page.write(folder, page.Subject(document, model, answers["test"], "all test pictures"))
    if len(model.layers) <= diagram.MOST:
        diagram.draw(folder / "network.png", model)
    gallery.draw(folder / "answers.png", document.kind, document.labels, answers["test"])


def libraries() -> dict[str, str]:
    """Versions of Python and of the libraries that a run's figures depend on."""
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in LIBRARIES}}


def _write_samples(path: Path, test: Answers) -> None:
    members = balanced(test.labels, SAMPLES, seed=0)
    labels = np.full(len(members), UNKNOWN) if test.multilabel else test.labels[members]  # which has no one class
    np.savez_compressed(path, pixels=test.pixels[members], labels=labels)


def write_history(path: Path, history: list[Epoch], metric: str) -> None:
    """Writes a row for each epoch; `metric` is the name of its score."""
    with path.open("w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["epoch", "loss", metric, "val_loss", f"val_{metric}", "seconds"])
        rows.writerows(astuple(epoch) for epoch in history)
