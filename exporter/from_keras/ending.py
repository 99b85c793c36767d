"""What kind of classifier the last operations of a TensorFlow graph make of it.

Looking at the operations rather than at the last layer finds the scores wherever the activation is: inside a Dense layer, in a
layer of its own, in a head model inside the model, or before a Flatten.
"""

from dataclasses import dataclass
from typing import Any

from bundle.manifest import Kind
from exporter.errors import ExportError

_SAME_VALUES = {"Identity", "Reshape", "Squeeze"}


@dataclass(frozen=True)
class Ending:
    """The end of a classifier."""

    kind: Kind
    labels: int
    scores: Any  # what the softmax or sigmoid is of: f32 [N, ..., K], K = 1 for one sigmoid


def ending(probabilities: Any) -> Ending:
    """What `probabilities` [N, K], a tensor of a graph, is made of.

    Raises ExportError when that is neither a softmax over two classes or more, nor sigmoids.
    """
    operation, size = probabilities.op, probabilities.shape[-1]
    while operation.type in _SAME_VALUES:
        operation = operation.inputs[0].op
    scores = operation.inputs[0] if operation.type in ("Softmax", "Sigmoid") else None
    single = size == 1
    if (
        scores is None
        or len(probabilities.shape) != 2
        or scores.shape[-1] != size
        or (single and operation.type == "Softmax")
    ):
        raise ExportError(
            f"the model answers a {operation.type} of shape {list(probabilities.shape)}, not a softmax over two classes or more, "
            "one sigmoid, or one sigmoid per label; end the model in one of them"
        )
    if operation.type == "Softmax":
        return Ending("multiclass", size, scores)
    return Ending("binary", 2, scores) if single else Ending("multilabel", size, scores)
