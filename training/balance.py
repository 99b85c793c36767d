"""How many pictures each class has, to look at before training: a rare class is easily learnt to be overlooked."""

from rich.box import SIMPLE
from rich.table import Table

from training.class_weights import Weights
from training.data.dataset import Dataset, class_counts


def table(dataset: Dataset, weights: Weights | None) -> Table:
    """A row for each class: pictures in every split, share of the training pictures, and weight in the loss, if any."""
    splits = dataset.splits
    columns = ["label" if dataset.kind == "multilabel" else "class", *splits, "share"]
    shown = Table(*columns, *(["weight"] if weights is not None else []), box=SIMPLE, pad_edge=False)
    for column in shown.columns[1:]:
        column.justify = "right"
    counts = {name: class_counts(split.labels, len(dataset.labels)) for name, split in splits.items()}
    learn = len(splits["train"].labels)
    for number, label in enumerate(dataset.labels):
        cells = [f"{count[number]:,}" for count in counts.values()]
        weight = [f"{weights[number]:.3g}"] if weights is not None else []
        shown.add_row(label, *cells, f"{counts['train'][number] / learn:.1%}", *weight)
    return shown
