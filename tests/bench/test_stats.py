"""Intervals and percentiles against published or hand-computed values."""

import pytest

from bench.stats import percentiles, wilson


@pytest.mark.parametrize(
    ("hits", "of", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_the_wilson_interval_is_that_of_newcombe_1998(hits: int, of: int, low: float, high: float) -> None:
    assert wilson(hits, of) == pytest.approx((low, high), abs=1e-4)


def test_percentiles_are_those_of_numbers_in_a_row() -> None:
    assert percentiles(list(range(101))) == (50, 90, 99)
