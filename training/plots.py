"""Pictures of a run that are about its figures: learning curves and the confusion matrix."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from training.answers import Answers
from training.fit import Epoch
from training.style import DPI

TRAIN, VALIDATION, BEST = "#4c78a8", "#f58518", "#54a24b"


def learning_curves(path: Path, history: list[Epoch], best_epoch: int, test: Answers) -> None:
    """The curves of a classifier."""
    curves(path, history, best_epoch, ("cross-entropy", "accuracy"), (test.metrics.loss, test.metrics.accuracy))


def curves(
    path: Path, history: list[Epoch], best_epoch: int, names: tuple[str, str], tested: tuple[float, float]
) -> None:
    """Loss and metric, called `names`, over the epochs, on training (Keras' running mean) and validation.

    Marked is the epoch that was kept, with what it came to on the test split.
    """
    figure = Figure(figsize=(10, 4), layout="constrained")
    numbers = [epoch.number for epoch in history]
    panels = (
        ([epoch.loss for epoch in history], [epoch.val_loss for epoch in history]),
        ([epoch.score for epoch in history], [epoch.val_score for epoch in history]),
    )
    for axes, name, (train, validation), test in zip(figure.subplots(1, 2), names, panels, tested, strict=True):
        axes.plot(numbers, train, color=TRAIN, marker="o", markersize=3, label="training")
        axes.plot(numbers, validation, color=VALIDATION, marker="o", markersize=3, label="validation")
        axes.axvline(best_epoch, color=BEST, linestyle=":", label=f"kept: epoch {best_epoch}")
        axes.plot(best_epoch, test, color=BEST, marker="*", markersize=13, linestyle="", label=f"test: {test:.4f}")
        axes.set(xlabel="epoch", title=name)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
        axes.legend(frameon=False)
    figure.savefig(path, dpi=DPI)


def confusion_matrix(path: Path, labels: list[str], test: Answers) -> None:
    """Test pictures by true label (rows) and answer (columns); the colour is the share of the row."""
    size = len(labels)
    counts = np.zeros((size, size), np.int64)
    np.add.at(counts, (test.labels, test.predicted), 1)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = 2.2 + 0.62 * size
    figure = Figure(figsize=(side + 0.8, side), layout="constrained")
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        if count:
            colour = "white" if shares[row, column] > 0.5 else "#333333"
            axes.text(column, row, f"{count:,}", ha="center", va="center", color=colour, fontsize=9)
    turned = max(map(len, labels)) > 3 and size > 2
    axes.set_xticks(range(size), labels, rotation=45 if turned else 0, ha="right" if turned else "center")
    axes.set_yticks(range(size), labels)
    axes.set(xlabel="answer", ylabel="truth")
    axes.set_title(f"test accuracy {test.metrics.accuracy:.2%} of {len(test.labels):,}", fontsize=11)
    axes.spines[:].set_visible(False)
    figure.savefig(path, dpi=DPI)


def labels_found(path: Path, labels: list[str], test: Answers) -> None:
    """For labels that do not exclude each other: how many pictures have each, are said to have it, and both."""
    there, said = test.labels == 1, test.predicted == 1
    counts = {"has it": there.sum(axis=0), "said to have it": said.sum(axis=0), "both": (there & said).sum(axis=0)}
    figure = Figure(figsize=(8, 1.4 + 0.62 * len(labels)), layout="constrained")
    axes = figure.subplots()
    height = 0.26
    for number, ((name, count), colour) in enumerate(zip(counts.items(), (TRAIN, VALIDATION, BEST), strict=True)):
        places = np.arange(len(labels)) + (number - 1) * height
        axes.barh(places, count, height * 0.92, color=colour, label=name)
    ticks = [f"{label}\n{_rates(*each)}" for label, *each in zip(labels, *counts.values(), strict=True)]
    axes.set_yticks(range(len(labels)), ticks)
    axes.invert_yaxis()
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.suptitle(
        f"of {len(test.labels):,} test pictures {test.right.mean():.2%} are right in all labels, {test.metrics.accuracy:.2%} of the "
        "labels are right",
        fontsize=10,
    )
    axes.set(xlabel="pictures")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, axis="x")
    axes.legend(frameon=False)
    figure.savefig(path, dpi=DPI)


def _rates(there: int, said: int, both: int) -> str:
    recall = f"{both / there:.0%} found" if there else "on none"
    precision = f"{both / said:.0%} rightly" if said else "never said"
    return f"{recall}, {precision}"
