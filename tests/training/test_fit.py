"""The training loop keeps the best epoch, stops when it is asked to, and can be repeated exactly."""

import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import keras
import numpy as np
import pytest
from msgspec.structs import replace

from training import fit
from training.answers import Answers
from training.errors import TrainingError
from training.fit import Epoch, Examples, Objective
from training.optimisation import Adam, Constant, Cosine, Plateau, Sgd, Training

SETTINGS = Training(epochs=6, batch_size=8, optimiser=Adam(), learning_rate=0.01, schedule=Cosine(), patience=6, seed=1)


def network() -> keras.Model:
    """A small convolutional network with one sigmoid, for pictures of 8x8."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((8, 8, 1), dtype="uint8"),
            layers.Rescaling(1 / 127.5, offset=-1),
            layers.Conv2D(4, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(1, activation="sigmoid"),
        ]
    )


@dataclass
class Notes:
    """Watches a run and asks it to stop when so many epochs and then so many batches are done."""

    stop: threading.Event = field(default_factory=threading.Event)
    stop_after: tuple[int, int] | None = None
    epochs: list[tuple[Epoch, bool]] = field(default_factory=list)

    def batch(self, done: int, batches: int) -> None:
        assert batches == 8
        if (len(self.epochs), done) == self.stop_after:
            self.stop.set()

    def epoch(self, epoch: Epoch, best: bool) -> None:
        self.epochs.append((epoch, best))


def pictures(count: int, seed: int) -> Examples:
    """Dark pictures (0) and bright ones (1), with much noise."""
    dice = np.random.default_rng(seed)
    labels = dice.integers(0, 2, count)
    pixels = dice.integers(0, 200, (count, 8, 8, 1)) + 40 * labels[:, None, None, None]
    return pixels.astype(np.uint8), labels


def trained(notes: Notes, settings: Training = SETTINGS) -> tuple[keras.Model, fit.Outcome]:
    fit.make_reproducible(settings.seed)
    model = network()
    objective = Objective("binary_crossentropy", "accuracy")
    return model, fit.fit(model, settings, objective, pictures(64, 0), pictures(32, 1), notes.stop, notes)


def test_the_model_is_left_as_it_was_in_its_best_epoch() -> None:
    notes = Notes()
    model, outcome = trained(notes)
    best = min(outcome.history, key=lambda epoch: epoch.val_loss)
    assert outcome.best_epoch == best.number
    assert [epoch.number for epoch, is_best in notes.epochs if is_best][-1] == best.number
    metrics = Answers(*pictures(32, 1), fit.probabilities(model, pictures(32, 1)[0])).metrics
    assert metrics.loss == pytest.approx(best.val_loss, rel=1e-4)
    assert metrics.accuracy == pytest.approx(best.val_score)


def test_the_same_seed_trains_the_same_model_and_another_seed_another() -> None:
    first, again = trained(Notes()), trained(Notes())
    other = trained(Notes(), replace(SETTINGS, seed=2))
    for weights, same in zip(first[0].get_weights(), again[0].get_weights(), strict=True):
        np.testing.assert_array_equal(weights, same)
    assert first[1].history[0].val_loss != other[1].history[0].val_loss


def test_every_epoch_sees_all_pictures_in_an_order_of_its_own() -> None:
    data = fit.batches(pictures(20, 0)[0], np.arange(20), replace(SETTINGS, epochs=3))
    sizes = [len(members) for _, members in data]
    assert sizes == [8, 8, 4] * 3
    orders = np.concatenate([members.numpy() for _, members in data]).reshape(3, 20)
    for order in orders:
        np.testing.assert_array_equal(np.sort(order), np.arange(20))
    assert len({tuple(order) for order in orders}) == 3


def test_training_ends_when_patience_is_out() -> None:
    _, outcome = trained(Notes(), replace(SETTINGS, epochs=50, learning_rate=0.3, patience=2))
    assert len(outcome.history) == outcome.best_epoch + 2 < 50
    assert not outcome.interrupted


def test_on_a_plateau_the_learning_rate_is_lowered() -> None:
    schedule = Plateau(patience=1, factor=0.5)
    model, outcome = trained(Notes(), replace(SETTINGS, schedule=schedule, learning_rate=0.1, patience=6))
    losses = [epoch.val_loss for epoch in outcome.history]
    worse = sum(loss >= min(losses[:index]) for index, loss in enumerate(losses) if index)
    assert worse
    assert float(model.optimizer.learning_rate) == pytest.approx(0.1 * 0.5**worse)


def test_a_loss_that_is_no_number_ends_training_with_what_to_change() -> None:
    diverging = replace(SETTINGS, optimiser=Sgd(momentum=0.9), schedule=Constant(), learning_rate=1e30)
    with pytest.raises(TrainingError, match=r"the loss is (nan|inf) in epoch \d.*lower training.learning_rate"):
        trained(Notes(), diverging)


@pytest.mark.parametrize("last_batch", [3, 8])
def test_a_stop_keeps_the_whole_epochs_and_drops_the_one_under_way(last_batch: int) -> None:
    _, outcome = trained(Notes(stop_after=(2, last_batch)))
    assert (len(outcome.history), outcome.interrupted) == (2, True)


def test_a_stop_in_the_first_epoch_leaves_nothing_to_keep() -> None:
    with pytest.raises(KeyboardInterrupt):
        trained(Notes(stop_after=(0, 3)))


@pytest.fixture
def interrupted() -> Iterator[Callable[[], None]]:
    """Calls what a Ctrl-C would call now. No real signal is raised: this process also runs other tests, and a late one would end them."""

    def call() -> None:
        handler = signal.getsignal(signal.SIGINT)
        assert callable(handler)
        handler(signal.SIGINT, None)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield call
    signal.signal(signal.SIGINT, before)


def test_the_first_ctrl_c_is_a_request_and_the_second_the_end(interrupted: Callable[[], None]) -> None:
    said: list[str] = []
    with fit.stop_on_ctrl_c(said.append) as stop:
        assert not stop.is_set()
        interrupted()
        assert stop.is_set()
        assert len(said) == 1
        with pytest.raises(KeyboardInterrupt):
            interrupted()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_metrics_are_cross_entropy_and_accuracy() -> None:
    answers = Answers(
        pixels=np.zeros((2, 1, 1, 1), np.uint8),
        labels=np.array([0, 1]),
        probabilities=np.array([[0.5, 0.5 - 1e-3], [1.0, 0.0]], np.float32),
    )
    assert answers.metrics.accuracy == 0.5
    assert answers.metrics.loss == pytest.approx((np.log(2) - np.log(1e-7)) / 2)
