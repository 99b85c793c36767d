"""What the layers of a Keras model put out while it runs, at any depth of nesting.

Keras has no hooks, and a model can be split at a layer only where that layer belongs to its top level: not inside a base
network, as transfer learning has it. But every layer is called through one method, keras.Operation.__call__, which is
replaced for as long as someone listens.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras

Tap = Callable[[str, keras.Layer, Any], None]  # path ("base/block5_conv1", without the model itself), layer, its output


@contextmanager
def tapped(tap: Tap) -> Iterator[None]:
    """Inside this context `tap` is told of the output of each layer of a model that is called, inner layers first."""
    plain = keras.Operation.__call__
    running: list[Any] = []  # the model, a layer of it, a layer of that one, ...

    def call(operation: Any, *args: Any, **kwargs: Any) -> Any:
        running.append(operation)
        try:
            output = plain(operation, *args, **kwargs)
            if len(running) > 1 and isinstance(operation, keras.Layer):
                tap("/".join(each.name for each in running[1:]), operation, output)
            return output
        finally:
            running.pop()

    keras.Operation.__call__ = call
    try:
        yield
    finally:
        keras.Operation.__call__ = plain
