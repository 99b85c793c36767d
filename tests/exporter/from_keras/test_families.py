"""The architectures that people have, exported and run on both engines, against TensorFlow (bench.families)."""

from dataclasses import replace

import pytest

from bench.families import FAMILIES, Differences, Measured, measure, results
from exporter.from_keras.application import architectures


@pytest.mark.parametrize("architecture", ["MobileNetV3Small"])
def test_a_small_architecture_on_small_pictures_answers_as_in_tensorflow(architecture: str) -> None:
    measured = measure(architecture, (96, 96))

    assert measured.holds(), measured


@pytest.mark.slow
@pytest.mark.parametrize("architecture", FAMILIES)
def test_every_family_answers_as_in_tensorflow(architecture: str) -> None:
    measured = measure(architecture)

    assert measured.holds(), measured


def test_no_family_of_keras_applications_is_left_out() -> None:
    families = {builder.__module__ for builder in architectures().values()}

    assert {architectures()[name].__module__ for name in FAMILIES} == families


ALIKE = Differences(probabilities=1e-4, heatmaps={"gradcam": 1e-3, "hirescam": 0.0, "layercam": 0.0}, ranked_alike=True)
HOLDS = Measured("Net", (64, 96), "net/relu", (2, 3, 512), evidence=0.8, engines={"one": ALIKE, "other": ALIKE})


@pytest.mark.parametrize(
    "engine",
    [
        replace(ALIKE, probabilities=1.1e-4),
        replace(ALIKE, heatmaps={**ALIKE.heatmaps, "layercam": 1.1e-3}),
        replace(ALIKE, ranked_alike=False),
        replace(ALIKE, probabilities=float("nan")),
    ],
)
def test_one_engine_that_differs_is_enough_not_to_hold(engine: Differences) -> None:
    assert HOLDS.holds()
    assert not replace(HOLDS, engines={"one": ALIKE, "other": engine}).holds()


def test_empty_heatmaps_prove_nothing() -> None:
    assert not replace(HOLDS, evidence=0.3).holds()


def test_a_row_tells_the_map_and_the_engines_figures() -> None:
    table = results([HOLDS, replace(HOLDS, engines={"one": replace(ALIKE, ranked_alike=False)})], "one")

    figures = ["1.0e-04", "1.0e-03", "0.0e+00", "0.0e+00"]
    assert list(table.rows[0]) == ["Net", "64 x 96", "relu, 2 x 3 x 512", *figures]
    assert len(table.columns) == len(table.rows[0])
    assert table.notes[-1] == "1 of 2 hold."
