"""Starting TensorFlow without its chatter.

TensorFlow reports missing GPU libraries from C++, straight to file descriptor 2, before any log level is read: once on import and
once when it first looks for devices. On a terminal that shows progress this only hides what matters.
"""

import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


def start_tensorflow() -> None:
    """Imports TensorFlow and has it find its devices; what it writes to stderr is shown only if that fails."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    with _stderr_held_back():
        import tensorflow as tf

        tf.config.list_logical_devices()


@contextmanager
def _stderr_held_back() -> Iterator[None]:
    sys.stderr.flush()
    original = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(original, held.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(original, 2)
            os.close(original)
