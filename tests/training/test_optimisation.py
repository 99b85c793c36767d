"""What a recipe's words about the optimiser and the learning rate come to, in numbers."""

import keras
import pytest

from training.optimisation import Adam, Constant, Cosine, Optimiser, Plateau, RmsProp, Schedule, Sgd, Step


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        (Constant(), {0: 0.1, 39: 0.1}),
        (Plateau(patience=1, factor=0.5), {0: 0.1, 39: 0.1}),  # falls between epochs, by its callback
        (Cosine(), {0: 0.1, 20: 0.05, 40: 0.0}),
        (Step(every=2, factor=0.1), {0: 0.1, 19: 0.1, 20: 0.01, 39: 0.01}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_learning_rate_takes_its_course(schedule: Schedule, rates: dict[int, float]) -> None:
    rate = schedule.rate(0.1, steps=10, epochs=4)
    for step, expected in rates.items():
        found = float(rate if isinstance(rate, float) else rate(step))
        assert found == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize(
    ("optimiser", "first", "second"),
    [
        (Sgd(momentum=0.0), 0.9, 0.8),
        (Sgd(momentum=0.9), 0.9, 0.71),
        (RmsProp(rho=0.9), 1 - 0.1 / 0.1**0.5, 1 - 0.1 / 0.1**0.5 - 0.1 / 0.19**0.5),
        (Adam(), 0.9, 0.8),
    ],
)
def test_an_optimiser_takes_the_published_steps(optimiser: Optimiser, first: float, second: float) -> None:
    weight, gradient = keras.Variable(1.0), keras.ops.ones(())
    built = optimiser.build(0.1)
    for expected in (first, second):
        built.apply([gradient], [weight])
        assert float(weight.value) == pytest.approx(expected, abs=1e-5)
