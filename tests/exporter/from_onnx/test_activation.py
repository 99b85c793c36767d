"""How a classifier ends, and that nothing is guessed where the file leaves it open."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bundle import files
from tests.exporter.from_onnx.models import BACKBONE, SCORES, SOFTMAX, bring, bundle, given, model, pictures, predicted

SIGMOID = BACKBONE + "z = Gemm(f, w, b) y = Sigmoid(z)"
LOG_SOFTMAX = SOFTMAX.replace("= Softmax", "= LogSoftmax")


Array = NDArray[np.float32]


def softmax(scores: Array) -> Array:
    """Probabilities of scores [N, K]."""
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    found: Array = (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
    return found


def sigmoid(scores: Array) -> Array:
    """Probabilities of scores, each by itself."""
    found: Array = (1 / (1 + np.exp(-scores))).astype(np.float32)
    return found


def answers(folder: Path) -> tuple[Array, Array]:
    """What the file answers, and what the bundle answers to the same pictures."""
    pixels = pictures(5, 8, 8, 3)
    return given(folder, (pixels.transpose(0, 3, 1, 2) / 255).astype(np.float32)), predicted(folder, pixels)


@pytest.mark.parametrize(
    ("body", "wanted", "kind"),
    [
        (SOFTMAX, "auto", "multiclass"),
        (SOFTMAX, "softmax", "multiclass"),
        (SIGMOID, "auto", "multilabel"),
        (SIGMOID, "sigmoid", "multilabel"),
        (SOFTMAX.replace("y = Softmax(z)", "s = Softmax(z) y = Identity(s)"), "auto", "multiclass"),
    ],
)
def test_an_activation_that_is_there_is_kept(body: str, wanted: str, kind: str, tmp_path: Path) -> None:
    answer = bring(tmp_path, model(body), "--activation", wanted)

    assert answer.exit_code == 0, answer.output
    assert files.verify_classifier(bundle(tmp_path)).kind == kind
    expected, found = answers(tmp_path)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_an_activation_before_the_flatten_is_found(tmp_path: Path) -> None:
    body = (
        "c = Conv<pads = [1, 1, 1, 1]>(x, k3, b4) r = Relu(c) g = GlobalAveragePool(r) z = Conv(g, k11) "
        "s = Softmax<axis = 1>(z) y = Flatten(s)"
    )

    answer = bring(tmp_path, model(body, gives="float[N,4] y"), labels=4)

    assert answer.exit_code == 0, answer.output
    expected, found = answers(tmp_path)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_log_softmax_becomes_a_softmax(tmp_path: Path) -> None:
    answer = bring(tmp_path, model(LOG_SOFTMAX))

    assert answer.exit_code == 0, answer.output
    expected, found = answers(tmp_path)
    np.testing.assert_allclose(found, np.exp(expected), atol=1e-6)


def test_scores_are_asked_about(tmp_path: Path) -> None:
    answer = bring(tmp_path, model(SCORES))

    assert answer.exit_code == 1
    assert "the model ends in Gemm, neither softmax nor sigmoid" in answer.stderr
    assert "--activation softmax (one class is right) or --activation sigmoid (each label by itself)" in answer.stderr


@pytest.mark.parametrize(
    ("wanted", "kind", "function"), [("softmax", "multiclass", softmax), ("sigmoid", "multilabel", sigmoid)]
)
def test_scores_get_the_activation_that_is_chosen(
    wanted: str, kind: str, function: Callable[[Array], Array], tmp_path: Path
) -> None:
    answer = bring(tmp_path, model(SCORES), "--activation", wanted)

    assert answer.exit_code == 0, answer.output
    assert files.verify_classifier(bundle(tmp_path)).kind == kind
    expected, found = answers(tmp_path)
    np.testing.assert_allclose(found, function(expected), atol=1e-6)


@pytest.mark.parametrize(
    "ending",
    [
        "z = Gemm(f, w1) y = Sigmoid(z)",
        "y = Gemm(f, w1)",
        "z = Gemm(f, w1) a = Constant<value_ints = [1]>() y = Squeeze(z, a)",
    ],
)
def test_one_sigmoid_answers_two_labels(ending: str, tmp_path: Path) -> None:
    gives = "float[N] y" if "Squeeze" in ending else "float[N,1] y"

    answer = bring(tmp_path, model(BACKBONE + ending, gives=gives), "--activation", "sigmoid", labels=2)

    assert answer.exit_code == 0, answer.output
    assert files.verify_classifier(bundle(tmp_path)).kind == "binary"
    scores, found = answers(tmp_path)
    positive = scores.reshape(-1) if "Sigmoid" in ending else sigmoid(scores.reshape(-1))
    np.testing.assert_allclose(found, np.stack([1 - positive, positive], axis=1), atol=1e-6)


@pytest.mark.parametrize(
    ("body", "wanted", "told"),
    [
        (SOFTMAX, "sigmoid", "the model ends in a Softmax already"),
        (SIGMOID, "softmax", "the model ends in a Sigmoid already"),
        (LOG_SOFTMAX, "sigmoid", "the model ends in a LogSoftmax already"),
    ],
)
def test_a_contradiction_is_refused(body: str, wanted: str, told: str, tmp_path: Path) -> None:
    answer = bring(tmp_path, model(body), "--activation", wanted)

    assert answer.exit_code == 1
    assert told in answer.stderr


def test_the_softmax_of_one_number_is_refused(tmp_path: Path) -> None:
    answer = bring(
        tmp_path, model(BACKBONE + "y = Gemm(f, w1)", gives="float[N,1] y"), "--activation", "softmax", labels=2
    )

    assert answer.exit_code == 1
    assert "answers one number, whose softmax is always 1; use sigmoid" in answer.stderr


def test_a_second_softmax_behind_one_in_other_operators_is_refused(tmp_path: Path) -> None:
    body = (
        SCORES.replace("y =", "z =") + " e = Exp(z) a = Constant<value_ints = [1]>() t = ReduceSum(e, a) y = Div(e, t)"
    )

    answer = bring(tmp_path, model(body), "--activation", "softmax")

    assert answer.exit_code == 1
    assert "sums to 1 for each picture, so it contains a softmax" in answer.stderr
