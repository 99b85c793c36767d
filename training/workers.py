"""Several machines that train one network: each takes a share of every batch, and they step along the mean of their gradients.

All start from the same weights and see the same batches in the same order, so what they come to is what one machine comes to (layers that look
at a whole batch, as batch normalisation does, look at each share by itself). The cluster is what TF_CONFIG says, as Kubeflow's TFJob
sets it, and `tf.distribute` connects it. Keras' own `fit` cannot run under its MultiWorkerMirroredStrategy (Keras 3.15, keras-team/keras
issue 20585), so each worker has a `fit` of its own, and only these things are exchanged: gradients, the figures of an epoch, and, at the start,
where an unfinished run was.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from training.devices import Strategy
from training.errors import RecipeError, WorkerLostError

if TYPE_CHECKING:
    import keras

_VARIABLE = "TF_CONFIG"
_EXAMPLE = '{"cluster": {"worker": ["host-0:2222", "host-1:2222"]}, "task": {"type": "worker", "index": 0}}'
_GROUP = 1  # of collective operations: all workers


class _Cluster(msgspec.Struct, forbid_unknown_fields=True):
    worker: list[str]  # host:port
    chief: list[str] = []


class _Task(msgspec.Struct):
    type: str
    index: Annotated[int, msgspec.Meta(ge=0)]


class _Config(msgspec.Struct):
    cluster: _Cluster
    task: _Task


@dataclass(frozen=True)
class Team:
    """The workers of a run, one of which this process is."""

    rank: int  # of this one; the first is 0, and the one that keeps the run
    size: int

    @property
    def is_first(self) -> bool:
        """Whether this worker keeps what all have come to."""
        return self.rank == 0

    def check(self, batch_size: int) -> None:
        """Raises RecipeError when a batch cannot be shared out evenly."""
        if batch_size % self.size:
            raise RecipeError(f"training.batch_size: {batch_size} cannot be shared out to {self.size} workers evenly")

    def even(self, count: int) -> int:
        """How many of `count` examples an epoch has: those left over wait for another one, whose order differs."""
        return count - count % self.size

    def averaging(self, optimiser: "keras.Optimizer", model: "keras.Model") -> "keras.Optimizer":
        """`optimiser`, which then steps along the mean of all workers' gradients.

        The statistics that `model` keeps of its batches become those of all, too.
        """
        if self.size == 1:
            return optimiser
        step = optimiser.apply

        def apply(gradients: Sequence[Any], variables: Any = None) -> None:
            statistics = [each for each in model.non_trainable_variables if each.dtype.startswith("float")]
            means = self._means([*gradients, *statistics])
            for variable, mean in zip(statistics, means[len(gradients) :], strict=True):
                variable.assign(mean)
            step(means[: len(gradients)], variables)

        optimiser.apply = apply
        return optimiser

    def agreed(self, figures: dict[str, float]) -> dict[str, float]:
        """The means over all workers, who then decide alike."""
        if self.size == 1:
            return figures
        sums = self._sum(np.array(list(figures.values()), np.float64))
        return dict(zip(figures, (sums / self.size).tolist(), strict=True))

    def from_first(self, array: NDArray[Any]) -> NDArray[Any]:
        """What the first worker gives; every other gives an array of that shape and dtype."""
        if self.size == 1:
            return array
        # In float64, which holds every float32 and every state of a random generator (uint32) exactly.
        given = array.astype(np.float64) if self.is_first else np.zeros(array.shape)
        return self._sum(given.ravel()).reshape(array.shape).astype(array.dtype)

    def _sum(self, array: NDArray[np.float64]) -> NDArray[np.float64]:
        import tensorflow as tf

        total: NDArray[np.float64] = self._reduced(tf.constant(array)).numpy()
        return total

    def _means(self, tensors: Sequence[Any]) -> list[Any]:
        """Of all workers, by one exchange for all tensors."""
        import tensorflow as tf

        tensors = [tf.convert_to_tensor(each) for each in tensors]
        flat = tf.concat([tf.reshape(tf.cast(each, tf.float32), [-1]) for each in tensors], 0)
        parts = tf.split(self._reduced(flat) / self.size, [each.shape.num_elements() for each in tensors])
        return [tf.cast(tf.reshape(part, each.shape), each.dtype) for part, each in zip(parts, tensors, strict=True)]

    def _reduced(self, tensor: Any) -> Any:
        import tensorflow as tf

        # Exchanges of one shape and dtype are one instance; all workers come to them in the same order.
        instance = hash((tuple(tensor.shape), tensor.dtype.as_datatype_enum)) % 2**31
        return tf.raw_ops.CollectiveReduceV2(
            input=tensor,
            group_size=self.size,
            group_key=_GROUP,
            instance_key=instance,
            ordering_token=[],
            merge_op="Add",
            final_op="Id",
            communication_hint="ring",
        )


ALONE = Team(0, 1)
_current: ContextVar[Team] = ContextVar("workers", default=ALONE)


def current() -> Team:
    """The workers that train what is trained now. Who trains need not pass it on: `run` says so, and the training loop asks."""
    return _current.get()


def configured() -> Team:
    """The workers of TF_CONFIG, ALONE without it; raises RecipeError when it is not as described above."""
    text = os.environ.get(_VARIABLE, "")
    if not text:
        return ALONE
    try:
        config = msgspec.json.decode(text, type=_Config)
    except msgspec.DecodeError as error:
        raise RecipeError(f"{_VARIABLE}: {error}; expected, for example, {_EXAMPLE}") from error
    roles = {"chief": config.cluster.chief, "worker": config.cluster.worker}
    role, index = config.task.type, config.task.index
    if role not in roles or index >= len(roles[role]):
        raise RecipeError(
            f"{_VARIABLE}: the cluster has no {role} {index}; workers (and a chief) train, nobody else does"
        )
    return Team(index + (len(config.cluster.chief) if role == "worker" else 0), sum(map(len, roles.values())))


def chosen(strategy: Strategy) -> tuple[Strategy, Team]:
    """What `auto` comes to here, and the workers, if that is what is wanted. Raises RecipeError for `workers` without TF_CONFIG."""
    if strategy not in {"auto", "workers"}:
        return strategy, ALONE
    team = configured()
    if strategy == "workers" and team.size == 1:
        raise RecipeError(f"--strategy workers: {_VARIABLE} names no other worker; expected, for example, {_EXAMPLE}")
    return ("workers" if team.size > 1 else strategy), team


@contextmanager
def joined(team: Team) -> Iterator[None]:
    """Inside, this process trains as one of `team`; begins when all are there. Raises WorkerLostError when another one goes."""
    connection = _connected() if team.size > 1 else None
    token = _current.set(team)
    try:
        with _lost_workers_named() if team.size > 1 else nullcontext():
            yield
    finally:
        _current.reset(token)
        del connection


def _connected() -> Any:
    """The cluster of TF_CONFIG, for as long as it is held; nothing else of the strategy is used."""
    import tensorflow as tf

    return tf.distribute.MultiWorkerMirroredStrategy()


@contextmanager
def _lost_workers_named() -> Iterator[None]:
    """Turns what TensorFlow raises when a worker is gone into WorkerLostError."""
    import tensorflow as tf

    try:
        yield
    except (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError) as error:
        raise WorkerLostError(
            "another worker is gone; start all of them again, and training goes on after the last whole epoch"
        ) from error


@contextmanager
def kept_by_first(out: Path) -> Iterator[Path]:
    """The run folder to write: `out` for the worker that keeps it, one that is thrown away for the others."""
    if current().is_first:
        yield out
        return
    with TemporaryDirectory() as folder:
        yield Path(folder) / out.name
