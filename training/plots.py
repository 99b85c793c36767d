"""Pictures of a run that are about its figures: learning curves and the confusion matrix."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from training.answers import Answers
from training.fit import Epoch

TRAIN, VALIDATION, BEST = "#4c78a8", "#f58518", "#54a24b"
DPI = 120


def learning_curves(path: Path, history: list[Epoch], best_epoch: int, test: Answers) -> None:
    """Loss and accuracy over the epochs, on training (Keras' running mean) and validation, with the epoch that was kept."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    numbers = [epoch.number for epoch in history]
    panels = (
        ("cross-entropy", [epoch.loss for epoch in history], [epoch.val_loss for epoch in history], test.metrics.loss),
        (
            "accuracy",
            [epoch.accuracy for epoch in history],
            [epoch.val_accuracy for epoch in history],
            test.metrics.accuracy,
        ),
    )
    for axes, (name, train, validation, tested) in zip(figure.subplots(1, 2), panels, strict=True):
        axes.plot(numbers, train, color=TRAIN, marker="o", markersize=3, label="training")
        axes.plot(numbers, validation, color=VALIDATION, marker="o", markersize=3, label="validation")
        axes.axvline(best_epoch, color=BEST, linestyle=":", label=f"kept: epoch {best_epoch}")
        axes.plot(best_epoch, tested, color=BEST, marker="*", markersize=13, linestyle="", label=f"test: {tested:.4f}")
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
