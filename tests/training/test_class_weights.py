"""What a picture of each class counts in the loss."""

import keras
import numpy as np
import pytest

from training import class_weights
from training.networks.classes import Classes

LABELS = np.array([0, 0, 0, 1])
SEVERAL = np.array([[1, 0], [1, 0], [1, 0], [0, 1]])


def value(classes: Classes, truth: np.ndarray, probabilities: list[list[float]], weights: list[float] | None) -> float:
    """The loss as a model computes it, over all pictures."""
    chosen = class_weights.loss(classes, None if weights is None else np.array(weights, np.float32))
    model = keras.Sequential([keras.Input((len(probabilities[0]),)), keras.layers.Identity()])
    model.compile(loss=chosen)
    return float(model.evaluate(np.array(probabilities, np.float32), truth, verbose=0))


def test_balanced_classes_weigh_the_same_together() -> None:
    weights = class_weights.resolve("balanced", LABELS, 2)
    assert weights is not None
    np.testing.assert_allclose(weights, np.array([4 / 6, 2.0]), rtol=1e-6)
    np.testing.assert_allclose(weights * np.array([3, 1]), np.array([2.0, 2.0]), rtol=1e-6)


def test_a_balanced_label_weighs_what_its_absence_weighs() -> None:
    weights = class_weights.resolve("balanced", SEVERAL, 2)
    assert weights is not None
    np.testing.assert_allclose(weights, np.array([1 / 3, 3]), rtol=1e-6)


def test_no_weights_are_keras_own_loss() -> None:
    assert class_weights.resolve("none", LABELS, 2) is None
    assert class_weights.loss(Classes("binary", 2), None) == "binary_crossentropy"


@pytest.mark.parametrize("weights", [[1.0, 1.0, 1.0], [2.0, 0.5, 1.0]])
def test_of_exclusive_classes_each_picture_counts_by_its_class(weights: list[float]) -> None:
    given = [[0.7, 0.2, 0.1], [0.1, 0.6, 0.3]]
    expected = -(weights[0] * np.log(0.7) + weights[2] * np.log(0.3)) / 2
    assert value(Classes("multiclass", 3), np.array([0, 2]), given, weights) == pytest.approx(expected, rel=1e-5)


def test_of_two_classes_each_picture_counts_by_its_class() -> None:
    expected = -(3 * np.log(1 - 0.2) + 5 * np.log(0.4)) / 2
    found = value(Classes("binary", 2), np.array([0, 1]), [[0.2], [0.4]], [3.0, 5.0])
    assert found == pytest.approx(expected, rel=1e-5)


def test_of_several_labels_the_presence_is_weighted() -> None:
    truth = np.array([[1, 0], [0, 1]])
    expected = -(3 * np.log(0.8) + np.log(1 - 0.3) + np.log(1 - 0.1) + 5 * np.log(0.4)) / 4
    found = value(Classes("multilabel", 2), truth, [[0.8, 0.3], [0.1, 0.4]], [3.0, 5.0])
    assert found == pytest.approx(expected, rel=1e-5)
