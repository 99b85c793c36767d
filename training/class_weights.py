"""How much the pictures of each class count in the loss, so that a rare class is not learnt to be overlooked.

The weights are in the loss rather than beside the examples, so that the best epoch is chosen by what is trained on.
"""

from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from training.data.dataset import class_counts
from training.errors import RecipeError
from training.networks.classes import Classes

if TYPE_CHECKING:
    import keras

Weight = Annotated[float, msgspec.Meta(gt=0)]
ClassWeights = Literal["none", "balanced"] | list[Weight]
Weights = NDArray[np.float32]  # [K]


def resolve(wanted: ClassWeights, labels: NDArray[np.int64], classes: int) -> Weights | None:
    """What a training picture of each class weighs, from the training `labels`; None where all weigh the same.

    balanced: N / (K counts), so that the classes weigh the same together, and a picture one on average. Where labels do not
    exclude each other: how many pictures lack a label for each that has it; so much weighs its presence, and one its absence.
    Raises RecipeError for a list of the wrong length.
    """
    if isinstance(wanted, list):
        if len(wanted) != classes:
            raise RecipeError(f"class_weights: there are {len(wanted)} weights and {classes} classes")
        return np.array(wanted, np.float32)
    if wanted == "none":
        return None
    counts = class_counts(labels, classes)
    weights = (len(labels) - counts) / counts if labels.ndim == 2 else len(labels) / (classes * counts)
    return weights.astype(np.float32)


def loss(classes: Classes, weights: Weights | None) -> "str | keras.losses.Loss":
    """The cross-entropy of `classes`, by Keras' name where nothing is weighted."""
    if weights is None:
        return classes.loss
    import keras

    entropy = getattr(keras.losses, classes.loss)

    def of_one(truth: Any, probabilities: Any) -> Any:
        chosen = keras.ops.cast(keras.ops.reshape(truth, (-1,)), "int32")
        return entropy(truth, probabilities) * keras.ops.take(weights, chosen)

    def of_labels(truth: Any, probabilities: Any) -> Any:
        there = keras.ops.cast(truth, "float32")
        each = entropy(there[..., None], probabilities[..., None])
        return keras.ops.mean(each * (1 + there * (weights - 1)), axis=-1)

    return of_labels if classes.kind == "multilabel" else of_one
