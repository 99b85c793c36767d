"""Text in, the next character out: of which a client makes text, one character at a time."""

from pathlib import Path
from typing import TYPE_CHECKING

from bundle import strict
from bundle.manifest import Positive
from training.data.text import Text
from training.optimisation import Training
from training.tasks.common import Figure, Trained

if TYPE_CHECKING:
    import keras

    from training.arrays.trainer import Lesson

BYTES = 256


class Lstm(strict.Document, frozen=True):
    """One LSTM layer."""

    units: Positive  # numbers in its memory


class TextGeneration(strict.Document, frozen=True, tag_field="task", tag="text"):
    """A recipe file with task = "text"."""

    summary: str
    notes: list[Figure]  # what the course notes found; empty for networks that they do not have
    data: Text
    network: Lstm
    training: Training

    @property
    def data_name(self) -> str:
        """The name of the data set."""
        return Path(self.data.file).stem or "python-reference"

    @property
    def input(self) -> str:
        """What the network takes."""
        return f"{self.data.length} characters"

    @property
    def output(self) -> str:
        """What it answers."""
        return "the next one"

    def build(self) -> "keras.Model":
        """The untrained network: `text` uint8 [N, length] to `probabilities` float32 [N, 256] of each byte to be the next."""
        return self._models()[1]

    def _models(self) -> "tuple[keras.Model, keras.Model]":
        """A network that tells the next character after each one of the text, and one that does after the last alone.

        They have the same weights. Trained is the first: it learns as much from one text as the other from `length` texts.
        """
        from keras import Input, Model, layers

        text = Input((self.data.length,), dtype="uint8", name="text")
        one_hot = layers.CategoryEncoding(num_tokens=BYTES, output_mode="one_hot", name="one_hot")(text)
        memory = layers.LSTM(self.network.units, return_sequences=True, name="lstm")(one_hot)
        last = layers.Flatten(name="last")(layers.Cropping1D((self.data.length - 1, 0), name="cropping")(memory))
        probabilities = layers.Dense(BYTES, activation="softmax", name="probabilities")
        return Model(text, probabilities(memory)), Model(text, probabilities(last))

    def lesson(self) -> "Lesson":
        """Everything that is needed to train it; raises RecipeError and DataError."""
        from training.arrays.labelled import CROSS_ENTROPY
        from training.arrays.trainer import Lesson
        from training.fit import ACCURACY, Objective

        learner, model = self._models()
        windows = self.data.load()
        last = {split: (inputs, targets[:, -1]) for split, (inputs, targets) in windows.items()}
        objective = Objective(CROSS_ENTROPY, ACCURACY)
        return Lesson(model, learner, objective, ".2%", windows, last, [], None, lambda _: None)

    def train(self, name: str, out: Path, command: str) -> Trained:
        """See training.arrays.trainer.train."""
        from training.arrays import trainer

        return trainer.train(name, self, out, command)
