"""Whether probabilities mean what they say, and one number that mends them.

A classifier is calibrated when, of the answers given with probability p, a share p is right. Temperature scaling (C. Guo et al., On
Calibration of Modern Neural Networks, ICML 2017) divides the scores before softmax or sigmoid by one T > 0, chosen on the validation
split. The order of the classes stays, so no answer changes. T becomes a layer of the model, so that whoever exports and serves
it needs to know nothing of it.
"""

from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from training.errors import RecipeError

BINS = 15  # as in the paper
TEMPERATURE = "temperature"  # the layer's name
_RANGE = (0.05, 20.0)  # where T is looked for


@dataclass(frozen=True)
class Reliability:
    """Answers by how sure they were: bins of equal width from 0 to 1. An empty bin has confidence and accuracy 0."""

    counts: NDArray[np.int64]  # [BINS] answers
    confidence: NDArray[np.float64]  # [BINS] mean probability of the answer
    accuracy: NDArray[np.float64]  # [BINS] share that is right

    @property
    def error(self) -> float:
        """The expected calibration error, 0..1: the mean distance of confidence and accuracy, bins by their counts."""
        return float(self.counts @ np.abs(self.confidence - self.accuracy) / max(1, self.counts.sum()))


def reliability(probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> Reliability:
    """How sure the answers of probabilities [N, K] are, and how often they are right; labels int64 [N]."""
    sure = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == labels
    members = np.minimum((sure * BINS).astype(np.int64), BINS - 1)
    counts = np.bincount(members, minlength=BINS)
    each = np.maximum(counts, 1)
    return Reliability(
        counts, np.bincount(members, sure, minlength=BINS) / each, np.bincount(members, right, minlength=BINS) / each
    )


def split(model: keras.Model) -> tuple[keras.Model, str]:
    """The classifier `model` as its scores [N, K] (or [N, 1]) and the activation that makes probabilities of them.

    Weights are copied. Raises RecipeError when the model ends in neither softmax nor sigmoid.
    """
    last = model.layers[-1]
    if isinstance(last, keras.Model):
        inner, activation = split(last)
        return keras.Model(model.inputs[0], inner(last.input)), activation
    activation = "softmax" if isinstance(last, keras.layers.Softmax) else _name(last)
    if activation not in ("softmax", "sigmoid"):
        raise RecipeError(
            f"the model ends in {last.name} ({activation}), not in softmax or sigmoid: it is no classifier"
        )
    if isinstance(last, keras.layers.Softmax | keras.layers.Activation):
        return keras.Model(model.inputs[0], last.input), activation
    linear = type(last).from_config({**last.get_config(), "activation": "linear"})
    scores = keras.Model(model.inputs[0], linear(last.input))
    linear.set_weights(last.get_weights())
    return scores, activation


def probabilities(scores: NDArray[np.float32], activation: str) -> NDArray[np.float32]:
    """float32 [N, K] of every class from scores [N, K] or [N, 1]; one sigmoid p is answered as [1 - p, p]."""
    answers = np.asarray(keras.activations.get(activation)(keras.ops.convert_to_tensor(scores, "float32")))
    return np.concatenate([1 - answers, answers], axis=1) if answers.shape[1] == 1 else answers


def temperature(scores: NDArray[np.float32], activation: str, labels: NDArray[np.int64]) -> float:
    """The T > 0 for which scores / T have the lowest cross-entropy; scores float32 [N, K] or [N, 1], labels int64 [N].

    Between 0.05 and 20. That cross-entropy has one minimum over log T.
    """

    def loss(logarithm: float) -> float:
        scaled = scores.astype(np.float64) / np.exp(logarithm)
        if activation == "sigmoid":
            signed = np.where(labels == 1, -scaled[:, 0], scaled[:, 0])
            return float(np.logaddexp(0, signed).mean())
        truth = scaled[np.arange(len(labels)), labels]
        return float((np.logaddexp.reduce(scaled, axis=1) - truth).mean())

    found = minimize_scalar(loss, bounds=np.log(_RANGE), method="bounded", options={"xatol": 1e-4})
    return float(np.exp(found.x))


def with_temperature(model: keras.Model, value: float) -> keras.Model:
    """`model` with its scores divided by `value` before softmax or sigmoid; an earlier temperature stays beneath."""
    scores, activation = split(model)
    layers = keras.layers
    number = sum(layer.name.startswith(TEMPERATURE) for layer in scores.layers)
    name = TEMPERATURE + (f"{number + 1}" if number else "")
    scaled = layers.Rescaling(1 / value, name=name)(scores.outputs[0])
    return keras.Model(
        scores.inputs[0], layers.Activation(activation, name="calibrated" + name[len(TEMPERATURE) :])(scaled)
    )


def _name(layer: keras.Layer) -> str:
    return getattr(getattr(layer, "activation", None), "__name__", "none")
