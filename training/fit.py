"""The training loop: Keras' `fit`, of which only the best epoch by validation loss is kept.

Ctrl-C is a request, looked at between two batches, rather than an exception in the middle of TensorFlow: the epoch under
way is dropped, everything before it is kept. A second Ctrl-C is Python's own and ends the program at once.
"""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from training.recipe import Training

Labelled = tuple[NDArray[np.uint8], NDArray[np.int64]]  # pixels [N, H, W, C], labels [N]


@dataclass(frozen=True)
class Epoch:
    """What one whole epoch came to; the figures on the training set are Keras' running means."""

    number: int  # from 1
    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float
    seconds: float


@dataclass(frozen=True)
class Outcome:
    """What a training run came to."""

    history: list[Epoch]  # whole epochs only
    best_epoch: int  # from 1
    interrupted: bool


class Watcher(Protocol):
    """Who wants to see a training run go on."""

    def batch(self, done: int, batches: int) -> None:
        """`done` of this epoch's `batches` are trained on."""

    def epoch(self, epoch: Epoch, best: bool) -> None:
        """`epoch` is complete, and is the `best` so far or not."""


class _Stopped(Exception):  # noqa: N818  it is no error
    """Leaves Keras' `fit` from inside a callback."""


class _Keeper(keras.callbacks.Callback):  # type: ignore[misc]
    """Keeps the weights of the best epoch; ends the run when patience is out, leaves it when `stop` is set."""

    def __init__(self, patience: int, stop: threading.Event, watcher: Watcher) -> None:
        super().__init__()
        self.patience, self.stop, self.watcher = patience, stop, watcher
        self.history: list[Epoch] = []
        self.best: Epoch | None = None
        self.weights: list[NDArray[np.float32]] = []
        self.started = 0.0

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:  # noqa: ARG002  Keras' signature
        self.started = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:  # noqa: ARG002  Keras' signature
        self.leave_if_asked()
        self.watcher.batch(batch + 1, self.params["steps"])

    def on_test_batch_end(self, batch: int, logs: object = None) -> None:  # noqa: ARG002  Keras' signature
        self.leave_if_asked()

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        done = Epoch(number=epoch + 1, seconds=time.monotonic() - self.started, **logs)
        self.history.append(done)
        if self.best is None or done.val_loss < self.best.val_loss:
            self.best, self.weights = done, self.model.get_weights()
        self.watcher.epoch(done, done is self.best)
        self.model.stop_training = done.number - self.best.number >= self.patience
        self.leave_if_asked()

    def leave_if_asked(self) -> None:
        if self.stop.is_set():
            raise _Stopped


def fit(
    model: keras.Model,
    training: Training,
    train: Labelled,
    validation: Labelled,
    stop: threading.Event,
    watcher: Watcher,
) -> Outcome:
    """Trains `model` and leaves it with the weights of the best epoch by validation loss.

    Setting `stop` ends training after the batch under way. Raises KeyboardInterrupt when that is before the end of the
    first epoch, so that there is nothing to keep.
    """
    steps = training.epochs * -(-len(train[0]) // training.batch_size)
    rate = keras.optimizers.schedules.CosineDecay(training.learning_rate, decay_steps=steps)
    model.compile(
        optimizer=keras.optimizers.Adam(rate),
        loss="binary_crossentropy" if model.output_shape[-1] == 1 else "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    keeper = _Keeper(training.patience, stop, watcher)
    interrupted = False
    try:
        model.fit(
            batches(*train, training),
            validation_data=validation,
            validation_batch_size=256,
            epochs=training.epochs,
            shuffle=False,  # `batches` does
            callbacks=[keeper],
            verbose=0,
        )
    except _Stopped:
        interrupted = True
    if keeper.best is None:
        raise KeyboardInterrupt
    model.set_weights(keeper.weights)
    return Outcome(keeper.history, keeper.best.number, interrupted)


def batches(pixels: NDArray[np.uint8], labels: NDArray[np.int64], training: Training) -> tf.data.Dataset:
    """Batches of the training set, in another order each epoch and mirrored as the recipe says.

    Keras' own shuffling of arrays gives every epoch the same order once a seed is set (Keras 3.15 on TensorFlow: the
    random state of its `map` starts afresh with each pass), and training then drifts towards the last batches.
    """
    order = tf.data.Dataset.range(len(labels)).shuffle(len(labels), training.seed, reshuffle_each_iteration=True)
    coins = tf.data.Dataset.random(training.seed, rerandomize_each_iteration=True)
    everything = tf.constant(pixels), tf.constant(labels)

    def gather(members: tf.Tensor, coins: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        chosen, truth = (tf.gather(array, members) for array in everything)
        if training.mirror:
            chosen = tf.where((coins % 2 == 0)[:, None, None, None], chosen, tf.reverse(chosen, [2]))
        return chosen, truth

    return tf.data.Dataset.zip(order, coins).batch(training.batch_size).map(gather).prefetch(2)


@contextmanager
def stop_on_ctrl_c(say: Callable[[str], None]) -> Iterator[threading.Event]:
    """Yields an event that the first Ctrl-C sets, with a word to the person; a second one is KeyboardInterrupt as ever."""
    stop = threading.Event()

    def request(*_: object) -> None:
        signal.signal(signal.SIGINT, before)
        say("Ctrl-C: ending with the best epoch so far; press it again to give up at once")
        stop.set()

    before = signal.signal(signal.SIGINT, request)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


def make_reproducible(seed: int) -> None:
    """Seeds Python, NumPy and Keras and makes TensorFlow use deterministic operations only."""
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


def probabilities(model: keras.Model, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Probabilities float32 [N, K] of every class; one sigmoid p is answered as [1 - p, p], as the server does."""
    answers = model.predict(pixels, batch_size=256, verbose=0)
    return np.concatenate([1 - answers, answers], axis=1) if answers.shape[1] == 1 else answers
