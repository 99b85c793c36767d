"""The checks of an export notice what they are there for."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from bundle.manifest import Method, Tensor
from exporter import parity, signatures
from exporter.bundling import most_decided
from exporter.parity import Answers, Form
from exporter.report import Check, at_most
from tests.exporter.graphs import parse

PIXELS = np.arange(12, dtype=np.uint8).reshape(12, 1, 1, 1)


def answer(pixels: NDArray[np.uint8], targets: NDArray[np.int64], method: Method) -> Answers:
    """Three classes of which a later picture is ever more the first; a heatmap of 2x2 for each target."""
    scores = pixels.reshape(-1, 1) * np.array([3, 2, 1], np.float32) / 10
    probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    named = np.where(targets < 0, -1 - targets, targets)
    return probabilities, np.tile(named[..., None, None] / 10, (1, 1, 2, 2)).astype(np.float32)


def checks_of(form: Form) -> list[Check]:
    trained = parity.answers_to_all(answer, PIXELS, 3, "hirescam")
    return list(parity.compare(("other", "Keras"), form, trained, PIXELS, "hirescam"))


def failed(checks: list[Check]) -> list[str]:
    return [check.name for check in checks if not check.passed]


def test_equal_answers_pass_every_check() -> None:
    checks = checks_of(answer)

    assert len(checks) == 9
    assert failed(checks) == []


def test_heatmaps_that_differ_fail_for_each_way_to_ask() -> None:
    def shifted(pixels: NDArray[np.uint8], targets: NDArray[np.int64], method: Method) -> Answers:
        probabilities, heatmaps = answer(pixels, targets, method)
        return probabilities, heatmaps + np.float32(2e-4)

    differ = [f"other: hirescam heatmaps, {name}" for name in parity.target_sets(3)]
    assert failed(checks_of(shifted)) == ["other: correlation of hirescam heatmaps, top class", *differ]


def test_one_answer_that_is_not_a_number_fails() -> None:
    def broken(pixels: NDArray[np.uint8], targets: NDArray[np.int64], method: Method) -> Answers:
        probabilities, heatmaps = answer(pixels, targets, method)
        heatmaps[7] = np.nan
        return probabilities, heatmaps

    assert len(failed(checks_of(broken))) == 1 + len(parity.target_sets(3))


def test_classes_ranked_differently_fail_by_their_ranking_and_leave_their_heatmaps_out() -> None:
    def turned(pixels: NDArray[np.uint8], targets: NDArray[np.int64], method: Method) -> Answers:
        probabilities, heatmaps = answer(pixels, targets, method)
        probabilities[3] = probabilities[3, ::-1]
        heatmaps[3] = 1
        return probabilities, heatmaps

    checks = {check.name: check for check in checks_of(turned)}

    assert not checks["other: probabilities"].passed
    assert not checks["other: classes ranked alike, top class"].passed
    assert checks["other: hirescam heatmaps, top class"].passed
    assert "11 of 12 heatmaps" in checks["other: hirescam heatmaps, top class"].compared
    assert not checks["other: hirescam heatmaps, explicit classes in one call"].passed


def test_correlation_is_that_of_each_heatmap_averaged() -> None:
    maps = np.random.default_rng(0).random((3, 2, 4, 5)).astype(np.float32)
    other = np.stack([maps[0], 2 * maps[1] + 1, -maps[2]])
    assert parity.correlation(other, maps) == pytest.approx(1 / 3, abs=1e-6)
    assert parity.correlation(np.zeros_like(maps), np.zeros_like(maps)) == 1
    assert parity.correlation(np.zeros_like(maps), maps) == 0


def test_an_answer_that_depends_on_the_rest_of_the_batch_fails() -> None:
    def mixed(pixels: NDArray[np.uint8], targets: NDArray[np.int64], method: Method) -> Answers:
        probabilities, heatmaps = answer(pixels, targets, method)
        return probabilities - probabilities.mean(axis=0), heatmaps

    assert failed(list(parity.batch_independence(answer, PIXELS, 3, "gradcam"))) == []
    assert failed(list(parity.batch_independence(mixed, PIXELS, 3, "gradcam"))) == ["batch independence: probabilities"]


def test_no_more_than_sixteen_explicit_classes_are_compared_the_first_and_last_among_them() -> None:
    classes = parity.target_sets(1000)["explicit classes in one call"]

    assert (len(classes), classes[0], classes[-1]) == (16, 0, 999)


def test_two_classes_have_no_third_rank() -> None:
    assert list(parity.target_sets(2)["top ranks in one call"]) == [-1, -2]


def test_golden_samples_are_those_whose_ranks_are_furthest_apart() -> None:
    probabilities = np.array([[0.4, 0.4, 0.2], [0.1, 0.3, 0.6], [0.9, 0.05, 0.05], [0.7, 0.2, 0.1]], np.float32)

    assert list(most_decided(probabilities, 2)) == [1, 3]


@pytest.mark.parametrize(("measured", "passed"), [(0.0, True), (1.0, True), (1.1, False), (float("nan"), False)])
def test_a_check_passes_up_to_its_limit(measured: float, passed: bool) -> None:
    assert at_most(1.0, measured, "name", "compared").passed is passed


def test_a_signature_that_is_not_the_manifests_fails_and_tells_both(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(
        parse("g (uint8[N,2] pixels) => (float[N,2] probabilities) { probabilities = Cast<to = 1>(pixels) }"), path
    )
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    right = Tensor(name="pixels", dtype="uint8", shape=[-1, 2])
    wrong = Tensor(name="probabilities", dtype="float32", shape=[-1, 3])

    standard, signature = signatures.check_onnx(path, session, [right], [wrong])

    assert standard.passed
    assert not signature.passed
    assert "outputs are [('probabilities', 'float32', [-1, 2])], not [('probabilities', 'float32', [-1, 3])]" in str(
        signature
    )
