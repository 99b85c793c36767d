"""TensorFlow without its chatter.

It writes about CUDA drivers to the C++ standard error while it is imported, before its own log level is looked at
(TensorFlow 2.21). So that the first thing a person reads is ours, the descriptor points elsewhere for that moment.
"""

import os


def load() -> None:
    """Imports TensorFlow and Keras quietly; whoever imports them later finds them there."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    stderr, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        import keras  # noqa: F401
        import tensorflow as tf  # noqa: F401
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nowhere)
