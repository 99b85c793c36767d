"""Tasks that give each row a class: how they learn, are judged and drawn is the same, whatever the rows are."""

from pathlib import Path

import keras

from training import plots
from training.answers import Answers
from training.arrays.material import Labelled
from training.arrays.trainer import Lesson
from training.fit import ACCURACY, Objective

CROSS_ENTROPY = "sparse_categorical_crossentropy"


def lesson(model: keras.Model, data: Labelled) -> Lesson:
    """`model`, which answers with probabilities float32 [N, K], and its rows."""

    def draw(folder: Path) -> None:
        inputs, labels = data.splits["test"]
        probabilities = model.predict(inputs, batch_size=256, verbose=0)
        plots.confusion_matrix(folder / "confusion_matrix.png", data.labels, Answers(inputs, labels, probabilities))

    objective = Objective(CROSS_ENTROPY, ACCURACY)
    return Lesson(model, model, objective, ".2%", data.splits, data.splits, data.labels, None, draw)
