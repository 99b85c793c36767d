"""Text in, class out: an embedding, a recurrent layer, and what is in its memory when the text is over."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bundle import strict
from bundle.manifest import Positive
from training.data.brackets import Brackets
from training.optimisation import Training
from training.tasks.common import Figure, Trained

if TYPE_CHECKING:
    import keras

    from training.arrays.trainer import Lesson

BYTES = 256


class Recurrent(strict.Document, frozen=True):
    """An embedding and a recurrent layer."""

    cell: Literal["simple", "lstm", "gru"]
    embedding: Positive  # numbers that stand for a character
    units: Positive  # numbers in the memory


class SequenceClassification(strict.Document, frozen=True, tag_field="task", tag="sequence"):
    """A recipe file with task = "sequence"."""

    summary: str
    notes: list[Figure]  # what the course notes found; empty for networks that they do not have
    data: Brackets
    network: Recurrent
    training: Training

    @property
    def data_name(self) -> str:
        """The name of the data set."""
        return "brackets"

    @property
    def input(self) -> str:
        """What the network takes."""
        return f"{self.data.length} characters"

    @property
    def output(self) -> str:
        """What it answers."""
        return f"{len(self.data.labels)} classes"

    def build(self) -> "keras.Model":
        """The untrained network: `text` uint8 [N, length], zeros before a shorter one, to `probabilities` float32 [N, K].

        The embedding has a row for every byte: a character that is not in the data is an answer of its own, never a failure.
        """
        from keras import Input, Model, layers

        cell = {"simple": layers.SimpleRNN, "lstm": layers.LSTM, "gru": layers.GRU}[self.network.cell]
        text = Input((self.data.length,), dtype="uint8", name="text")
        tensor = layers.Embedding(BYTES, self.network.embedding, name="embedding")(text)
        tensor = cell(self.network.units, name="recurrent")(tensor)
        probabilities = layers.Dense(len(self.data.labels), activation="softmax", name="probabilities")
        return Model(text, probabilities(tensor))

    def lesson(self) -> "Lesson":
        """Everything that is needed to train it; raises RecipeError and DataError."""
        from training.arrays import labelled

        return labelled.lesson(self.build(), self.data.load())

    def train(self, name: str, out: Path, command: str) -> Trained:
        """See training.arrays.trainer.train."""
        from training.arrays import trainer

        return trainer.train(name, self, out, command)
