"""The training loop: Keras' `fit`, of which only the best epoch by validation loss is kept.

Ctrl-C is a request, looked at between two batches, rather than an exception in the middle of TensorFlow: the epoch under
way is dropped, everything before it is kept. A second Ctrl-C is Python's own and ends the program at once.
"""

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from training import checkpoints, tensorboard, workers
from training.checkpoints import Checkpoint, State
from training.errors import TrainingError
from training.optimisation import Training
from training.workers import Team

Examples = tuple[NDArray[Any], NDArray[Any]]  # inputs [N, ...] and what should come out, [N, ...]


@dataclass(frozen=True)
class Objective:
    """What is made small, and the figure that people look at."""

    loss: "str | keras.losses.Loss"  # by Keras' name, or what computes it
    metric: str  # by Keras' name; also the name of its columns in history.csv


ACCURACY = "accuracy"


@dataclass(frozen=True)
class Epoch:
    """What one whole epoch came to; the figures on the training set are Keras' running means."""

    number: int  # from 1
    loss: float  # with the penalties of L1 and L2, where a recipe has them
    score: float  # the objective's metric
    val_loss: float
    val_score: float
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


class NothingLearnt(KeyboardInterrupt):
    """Training was stopped before its first epoch was complete."""


class _Stopped(Exception):  # noqa: N818  it is no error
    """Leaves Keras' `fit` from inside a callback."""


class _Agreement(keras.callbacks.Callback):  # type: ignore[misc]
    """Comes before all others: they decide by the figures of all workers."""

    def __init__(self, team: Team) -> None:
        super().__init__()
        self.team = team

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:  # noqa: ARG002  Keras' signature
        logs.update(self.team.agreed(logs))


class _Keeper(keras.callbacks.Callback):  # type: ignore[misc]
    """Keeps the weights of the best epoch; ends the run when patience is out, leaves it when `stop` is set."""

    def __init__(
        self,
        metric: str,
        training: Training,
        stop: threading.Event,
        watcher: Watcher,
        checkpoint: Checkpoint | None,
        others: list[keras.callbacks.Callback],
    ) -> None:
        super().__init__()
        self.others = others  # come before this one, and may look back at earlier epochs
        self.metric, self.stop, self.watcher, self.checkpoint = metric, stop, watcher, checkpoint
        self.epochs, self.patience = training.epochs, training.patience
        self.history: list[Epoch] = []
        self.best: Epoch | None = None
        self.weights: list[NDArray[np.float32]] = []
        self.started = 0.0

    def on_train_begin(self, logs: object = None) -> None:  # noqa: ARG002  Keras' signature
        """Shows the epochs of an unfinished run to those who look back; they have just forgotten everything."""
        if not (self.history and self.others):
            return
        rate = float(self.model.optimizer.learning_rate)
        for epoch in self.history:
            for callback in self.others:
                callback.on_epoch_end(epoch.number - 1, {"val_loss": epoch.val_loss})
        self.model.optimizer.learning_rate = rate

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:  # noqa: ARG002  Keras' signature
        self.started = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict[str, float]) -> None:
        self.leave_if_asked()
        _check_number(logs["loss"], f"in epoch {len(self.history) + 1}, batch {batch + 1} of {self.params['steps']}")
        self.watcher.batch(batch + 1, self.params["steps"])

    def on_test_batch_end(self, batch: int, logs: object = None) -> None:  # noqa: ARG002  Keras' signature
        self.leave_if_asked()

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        _check_number(logs["val_loss"], f"on the validation split after epoch {epoch + 1}")
        figures = logs["loss"], logs[self.metric], logs["val_loss"], logs[f"val_{self.metric}"]
        done = Epoch(epoch + 1, *figures, time.monotonic() - self.started)
        self.history.append(done)
        if self.best is None or done.val_loss < self.best.val_loss:
            self.best, self.weights = done, self.model.get_weights()
        if self.checkpoint:
            self.checkpoint.save(self.state(self.best))
        self.watcher.epoch(done, done is self.best)
        self.model.stop_training = self.finished
        self.leave_if_asked()

    @property
    def finished(self) -> bool:
        """Whether all epochs are done, or patience is out."""
        done, best = len(self.history), self.best.number if self.best else 0
        return done >= self.epochs or done - best >= self.patience

    def state(self, best: Epoch) -> State:
        """What training goes on from after this epoch."""
        variables = {"network": self.model.variables, "optimiser": self.model.optimizer.variables}
        arrays = {name: [np.asarray(each) for each in group] for name, group in variables.items()}
        return State([asdict(epoch) for epoch in self.history], best.number, {**arrays, "best": self.weights})

    def go_on(self, model: keras.Model, team: Team) -> None:
        """Brings `model` and its optimiser to where an unfinished run was, if the first worker has one."""
        model.optimizer.build(model.trainable_variables)
        state = _shared(self.checkpoint.load() if self.checkpoint else None, model, team)
        if state is None:
            return
        self.history = [Epoch(**figures) for figures in state.history]
        self.best, self.weights = self.history[state.best - 1], list(state.arrays["best"])
        for epoch in self.history:
            self.watcher.epoch(epoch, epoch is self.best)
        for name, variables in (("network", model.variables), ("optimiser", model.optimizer.variables)):
            for variable, value in zip(variables, state.arrays[name], strict=True):
                variable.assign(value)

    def leave_if_asked(self) -> None:
        if self.stop.is_set():
            raise _Stopped


def _shared(state: State | None, model: keras.Model, team: Team) -> State | None:
    """The first worker's `state`, for all; the others come without one. `model` and its optimiser are built."""
    count = len(state.history) if state else 0
    (epochs,) = team.from_first(np.array([count])).tolist()
    if team.size == 1 or not epochs:
        return state
    names = [each.name for each in fields(Epoch)]
    rows = [[epoch[name] for name in names] for epoch in state.history] if state else np.zeros((epochs, len(names)))
    history = [dict(zip(names, row, strict=True)) for row in team.from_first(np.array(rows)).tolist()]
    for epoch in history:
        epoch["number"] = int(epoch["number"])
    (best,) = team.from_first(np.array([state.best if state else 0])).tolist()
    groups = {"network": model.variables, "optimiser": model.optimizer.variables, "best": model.weights}
    arrays = {
        name: [
            team.from_first(each) for each in (state.arrays[name] if state else [np.asarray(each) for each in group])
        ]
        for name, group in groups.items()
    }
    return State(history, best, arrays)


def _check_number(loss: float, where: str) -> None:
    """Weights do not recover from one step along a gradient that is not a number."""
    if not math.isfinite(loss):
        raise TrainingError(
            f"the loss is {loss} {where}: training has diverged; lower training.learning_rate, or look for broken data"
        )


def fit(
    model: keras.Model,
    training: Training,
    objective: Objective,
    train: Examples,
    validation: Examples,
    stop: threading.Event,
    watcher: Watcher,
) -> Outcome:
    """Trains `model` and leaves it with the weights of the best epoch by validation loss.

    Setting `stop` ends training after the batch under way. Raises NothingLearnt, a KeyboardInterrupt, when that is before
    the end of the first epoch, TrainingError when the loss is no longer a number, and RecipeError for batches that cannot be shared
    out to the workers that train together.
    """
    team = workers.current()
    team.check(training.batch_size)
    steps = -(-team.even(len(train[0])) // training.batch_size)
    rate = training.schedule.rate(training.learning_rate, steps, training.epochs)
    optimiser = team.averaging(training.optimiser.build(rate), model)
    model.compile(
        optimizer=optimiser,
        loss=objective.loss,
        metrics=[objective.metric],
        jit_compile="auto" if team.size == 1 else False,  # XLA has no exchange between machines
    )
    callbacks = training.schedule.callbacks()
    keeper = _Keeper(objective.metric, training, stop, watcher, checkpoints.begin(), callbacks)
    keeper.go_on(model, team)
    interrupted = False
    try:
        if not keeper.finished:
            model.fit(
                batches(*train, training, first=len(keeper.history), team=team),
                steps_per_epoch=steps,
                shuffle=False,  # `batches` does
                validation_data=validation,
                validation_batch_size=256,
                initial_epoch=len(keeper.history),
                epochs=training.epochs,
                callbacks=[_Agreement(team), *callbacks, *tensorboard.callbacks(), keeper],
                verbose=0,
            )
    except _Stopped:
        interrupted = True
    if keeper.best is None:
        raise NothingLearnt
    model.set_weights(keeper.weights)
    return Outcome(keeper.history, keeper.best.number, interrupted)


def batches(
    inputs: NDArray[Any], targets: NDArray[Any], training: Training, first: int = 0, team: Team = workers.ALONE
) -> tf.data.Dataset:
    """The batches of all epochs from `first`, counted from 0, one epoch after the other, each in an order that follows from seed and epoch alone.

    Of each batch a worker of a `team` gets its share.

    Keras' own shuffling of arrays gives every epoch the same order once a seed is set (Keras 3.15 on TensorFlow: the
    random state of its `map` starts afresh with each pass), and training then drifts towards the last batches.
    """
    count = len(targets)
    everything = tf.constant(inputs), tf.constant(targets)

    def epoch(number: tf.Tensor) -> tf.data.Dataset:
        seed = tf.stack([tf.constant(training.seed, tf.int64), number])
        order = tf.random.experimental.index_shuffle(tf.range(count, dtype=tf.int64), seed, count - 1)
        return tf.data.Dataset.from_tensor_slices(order[: team.even(count)]).batch(training.batch_size)

    def gather(members: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        chosen, truth = (tf.gather(array, members[team.rank :: team.size]) for array in everything)
        return chosen, truth

    return tf.data.Dataset.range(first, training.epochs).flat_map(epoch).map(gather).prefetch(2)


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
