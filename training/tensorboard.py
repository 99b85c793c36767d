"""What TensorBoard shows of a run: its losses and scores over the epochs, in TensorFlow's own event files.

TensorFlow's `summary.scalar` needs the package tensorboard, which the program that shows the files has and training has no use for; the
same events are written through `summary.write`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

import keras
import tensorflow as tf

_current: ContextVar[Path | None] = ContextVar("folder of events", default=None)


@contextmanager
def written(into: Path | None) -> Iterator[None]:
    """What is trained inside writes its events into this folder; nothing for None."""
    token = _current.set(into)
    try:
        yield
    finally:
        _current.reset(token)


def callbacks() -> list[keras.callbacks.Callback]:
    """What writes the events of the training that begins now; nothing where nobody asked for it."""
    into = _current.get()
    return [_Events(into)] if into else []


class _Events(keras.callbacks.Callback):  # type: ignore[misc]
    def __init__(self, into: Path) -> None:
        super().__init__()
        self._writers = {
            split: tf.summary.create_file_writer(str(into / split)) for split in ("training", "validation")
        }

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        for name, value in logs.items():
            split = "validation" if name.startswith("val_") else "training"
            with self._writers[split].as_default():
                tf.summary.write(f"epoch_{name.removeprefix('val_')}", value, step=epoch + 1, metadata=_scalar())
            self._writers[split].flush()


def _scalar() -> tf.compat.v1.SummaryMetadata:
    """What tells TensorBoard that an event is a number over time."""
    metadata = tf.compat.v1.SummaryMetadata()
    metadata.plugin_data.plugin_name = "scalars"
    return metadata
