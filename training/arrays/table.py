"""Measurements in, class out: a dense network on the rows of a table."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bundle import strict
from bundle.manifest import Positive
from training.data.penguins import COLUMNS, Penguins
from training.optimisation import Share, Training
from training.tasks.common import Figure, Trained

if TYPE_CHECKING:
    import keras

    from training.arrays.trainer import Lesson


class Dense(strict.Document, frozen=True):
    """Layers with ReLU, with dropout before the probabilities."""

    units: list[Positive]  # of each layer
    dropout: Share  # how much of the last layer's output is dropped in training; 0 is none


class TableClassification(strict.Document, frozen=True, tag_field="task", tag="table"):
    """A recipe file with task = "table"."""

    summary: str
    notes: list[Figure]  # what the course notes found; empty for networks that they do not have
    data: Penguins
    network: Dense
    training: Training

    @property
    def data_name(self) -> str:
        """The name of the data set."""
        return "penguins"

    @property
    def input(self) -> str:
        """What the network takes."""
        return f"{len(COLUMNS)} measurements"

    @property
    def output(self) -> str:
        """What it answers."""
        return f"{len(self.data.labels)} classes"

    def build(self) -> "keras.Model":
        """The untrained network: `measurements` float32 [N, 4], as they are in the table, to `probabilities` [N, K].

        Bringing them to mean 0 and deviation 1 is its first layer, so that whoever asks need not know either.
        """
        from keras import Input, Model, layers

        measurements = Input((len(COLUMNS),), name="measurements")
        tensor = layers.Normalization(name="normalisation")(measurements)
        for number, units in enumerate(self.network.units, 1):
            tensor = layers.Dense(units, activation="relu", name=f"dense{number}")(tensor)
        if self.network.dropout:
            tensor = layers.Dropout(self.network.dropout, name="dropout")(tensor)
        probabilities = layers.Dense(len(self.data.labels), activation="softmax", name="probabilities")
        return Model(measurements, probabilities(tensor))

    def lesson(self) -> "Lesson":
        """Everything that is needed to train it; raises RecipeError and DataError."""
        from training.arrays import labelled

        model, data = self.build(), self.data.load()
        model.get_layer("normalisation").adapt(np.asarray(data.splits["train"][0]))
        return labelled.lesson(model, data)

    def train(self, name: str, out: Path, command: str) -> Trained:
        """See training.arrays.trainer.train."""
        from training.arrays import trainer

        return trainer.train(name, self, out, command)
