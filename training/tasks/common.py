"""What the tasks have in common."""

from dataclasses import dataclass

from bundle import strict
from training.data.dataset import SplitName


class Figure(strict.Document, frozen=True):
    """A figure that the course notes give for a network."""

    split: SplitName
    metric: str  # by its name in run.json, for example accuracy
    value: float


@dataclass(frozen=True)
class Trained:
    """What `python -m training run` says when a run folder is written."""

    figures: str  # one line: what the model came to
    note: str  # what else the person must know; empty when there is nothing
