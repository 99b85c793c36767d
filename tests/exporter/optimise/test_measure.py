"""How speed and distance are measured."""

import numpy as np
import pytest
from numpy.typing import NDArray

from exporter.optimise import measure
from tests.exporter.optimise.bundles import random_pictures


def test_forms_take_turns_and_a_slow_round_does_not_count() -> None:
    now, calls = [0.0], []

    def form(name: str, seconds: float, slow: set[int]) -> measure.Run:
        def run(pixels: NDArray[np.uint8]) -> None:
            calls.append(name)
            now[0] += 10.0 if calls.count(name) in slow else seconds * len(pixels)

        return run

    forms = {"one": form("one", 0.1, {3}), "other": form("other", 0.2, set())}
    found = measure.speeds(forms, random_pictures(5).pixels, lambda: now[0])
    assert calls[:6] == ["one", "other"] * 3
    assert found == {"one": {"1": 10, "8": 10, "32": 10}, "other": {"1": 5, "8": 5, "32": 5}}


def test_an_answer_that_is_no_number_agrees_with_nothing() -> None:
    probabilities = np.array([[0.1, 0.9], [0.2, 0.8]], np.float32)
    heatmaps = np.random.default_rng(0).random((2, 1, 3, 3)).astype(np.float32)
    broken = np.full_like(probabilities, np.nan), np.full_like(heatmaps, np.nan)
    found = measure.distance(broken, (probabilities, heatmaps))
    assert (found.top1_agreement, found.heatmap_correlation) == (0, 0)
    assert found.max_probability_difference == pytest.approx(0.9)


def test_equal_answers_are_at_no_distance() -> None:
    answers = np.eye(3, dtype=np.float32), np.random.default_rng(0).random((3, 1, 2, 2)).astype(np.float32)
    found = measure.distance(answers, answers)
    assert (found.top1_agreement, found.max_probability_difference, found.mean_probability_difference) == (1, 0, 0)
    assert found.heatmap_correlation == pytest.approx(1)
