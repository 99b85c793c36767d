"""Calibration: the error is what the paper defines, and a temperature mends it without changing an answer."""

from pathlib import Path

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from bundle.preprocess import PreprocessSpec
from bundle.run import Dataset, Run
from training import calibration, plots
from training.answers import Answers
from training.errors import RecipeError
from training.look.gradcam import GradCam
from training.look.network import behind_floats
from training.report import page

layers = keras.layers


def classifier(units: int = 3, activation: str = "softmax") -> keras.Model:
    keras.utils.set_random_seed(5)
    convolution = layers.Conv2D(4, 3, activation="relu", name="conv")
    head = [layers.GlobalMaxPooling2D(), layers.Dense(units, activation=activation, name="probabilities")]
    return keras.Sequential([keras.Input((12, 12, 1), dtype="uint8"), layers.Rescaling(1 / 32), convolution, *head])


def pictures(count: int) -> NDArray[np.uint8]:
    return np.random.default_rng(6).integers(0, 256, (count, 12, 12, 1), np.uint8)


def test_the_calibration_error_is_the_mean_distance_of_confidence_and_accuracy() -> None:
    probabilities = np.array([[0.9, 0.1]] * 10 + [[0.4, 0.6]] * 10, np.float32)
    labels = np.array([0] * 8 + [1] * 2 + [1] * 6 + [0] * 4)
    found = calibration.reliability(probabilities, labels)
    assert found.counts.sum() == 20
    assert found.error == pytest.approx((0.1 + 0.0) / 2, abs=1e-6)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
@pytest.mark.parametrize("truth", [0.5, 1.0, 3.0])
def test_the_temperature_that_scores_were_multiplied_by_is_found(truth: float, activation: str) -> None:
    dice = np.random.default_rng(7)
    scores = dice.normal(0, 2, (20_000, 4 if activation == "softmax" else 1))
    if activation == "softmax":
        labels = np.argmax(scores + dice.gumbel(size=scores.shape), axis=1)  # drawn with these probabilities
    else:
        labels = (dice.random(len(scores)) < 1 / (1 + np.exp(-scores[:, 0]))).astype(np.int64)
    assert calibration.temperature((scores * truth).astype(np.float32), activation, labels) == pytest.approx(
        truth, rel=0.05
    )


@pytest.mark.parametrize(("units", "activation"), [(3, "softmax"), (1, "sigmoid")])
def test_a_temperature_divides_the_scores_and_changes_no_answer_and_no_heatmap(units: int, activation: str) -> None:
    model, pixels = classifier(units, activation), pictures(8)
    warm = calibration.with_temperature(calibration.with_temperature(model, 2.0), 1.5)
    scores = calibration.split(model)[0](pixels).numpy()
    expected = keras.activations.get(activation)(scores / 3).numpy()
    np.testing.assert_allclose(warm(pixels).numpy(), expected, rtol=1e-4)
    chosen = [0] * len(pixels)
    before, after = (GradCam(behind_floats(each)).heatmaps(pixels, "conv", chosen) for each in (model, warm))
    np.testing.assert_allclose(before, after, atol=1e-5)


def test_a_model_that_is_no_classifier_has_no_temperature() -> None:
    with pytest.raises(RecipeError, match=r"ends in probabilities \(linear\)"):
        calibration.split(classifier(activation="linear"))


def run(parameters: int) -> Run:
    counts = {split: {"a": 20, "<b>": 20} for split in ("train", "validation", "test")}
    metrics = dict.fromkeys(counts, Answers(pictures(2), np.array([0, 1]), np.eye(2, dtype=np.float32)).metrics)
    spec = PreprocessSpec(
        height=12, width=12, colour="grey", fit="stretch", crop=1.0, resampling="bilinear", background=(0, 0, 0)
    )
    return Run(
        schema="seethrough.run/1", name="small", recipe="small", settings={}, kind="binary", labels=["a", "<b>"], preprocess=spec,
        dataset=Dataset(name="made", fingerprint="0" * 64, class_counts=counts), parameters=parameters, seed=1, epochs=2,
        best_epoch=1, interrupted=False, metrics=metrics, started="2026-01-01", seconds=1.0, command="run small", libraries={},
    )  # fmt: skip


def test_a_report_is_one_file_with_the_surest_mistakes_under_heatmaps(tmp_path: Path) -> None:
    model, pixels = classifier(1, "sigmoid"), pictures(40)
    probabilities = np.concatenate([1 - (answers := model(pixels).numpy()), answers], axis=1)
    labels = probabilities.argmax(axis=1)
    labels[:3] = 1 - labels[:3]
    test = Answers(pixels, labels, probabilities)
    plots.learning_curves(tmp_path / "learning_curves.png", [], 1, test)
    plots.confusion_matrix(tmp_path / "confusion_matrix.png", ["a", "b"], test)
    page.write(tmp_path, page.Subject(run(model.count_params()), model, test, "all test pictures"))
    text = (tmp_path / page.REPORT).read_text()
    assert text.count('<div class="example">') == 3
    assert text.count("data:image/png;base64,") == text.count("<img") == 3 + 9
    assert ("http" in text, "<script" in text, "<b>" in text) == (False, False, False)
    assert "3 of 40 test pictures are answered wrongly" in text
