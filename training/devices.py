"""On which devices, and in which precision, a run is trained: what changes how long it takes rather than what is trained.

Several GPUs each take a share of every batch and add up their gradients (`tf.distribute.MirroredStrategy`), so the size of a batch means
the same on one as on four. In mixed precision layers compute in 16 bits and keep their weights in 32 (P. Micikevicius et al., ICLR 2018);
the model that is kept computes in 32 bits throughout, so that every export is made from the same kind of model.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import keras

Strategy = Literal["auto", "none", "mirrored", "workers"]
Precision = Literal["float32", "mixed_float16", "mixed_bfloat16"]


@contextmanager
def used(strategy: Strategy, precision: Precision) -> Iterator[None]:
    """Inside, models are built for these devices and this precision."""
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        with _scope(strategy):
            yield
    finally:
        keras.config.set_dtype_policy(before)


def _scope(strategy: Strategy) -> Any:
    """auto: mirrored when there are several GPUs. On a machine without one, mirrored takes its logical CPUs; a worker takes one device."""
    import tensorflow as tf

    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    many = len(devices) > 1 and devices[0].device_type == "GPU"
    if strategy in {"none", "workers"} or (strategy == "auto" and not many):
        return nullcontext()
    return tf.distribute.MirroredStrategy([device.name for device in devices]).scope()


def in_float32(model: "keras.Model") -> "keras.Model":
    """`model` as one that computes in float32 throughout, with the same weights; itself where it does already."""
    config = model.get_config()
    exact = _exact(config)
    if exact == config:
        return model
    with used("none", "float32"):
        copy = type(model).from_config(exact)
    copy.set_weights(model.get_weights())
    return copy


def _exact(config: Any) -> Any:
    """A model's settings with every policy of mixed precision replaced, at any depth."""
    if isinstance(config, dict):
        if config.get("class_name") == "DTypePolicy":
            return {**config, "config": {**config["config"], "name": "float32"}}
        return {key: _exact(value) for key, value in config.items()}
    if isinstance(config, list | tuple):
        return type(config)(_exact(value) for value in config)
    return config
