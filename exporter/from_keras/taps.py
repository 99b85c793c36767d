"""What the layers of a Keras model put out while it runs, at any depth of nesting.

Keras has no hooks, and a model can be split at a layer only where that layer belongs to its top level: not inside a
backbone, as transfer learning has it. But every layer, and every operator that is a node of a functional model (`x + y`),
is called through one method, keras.Operation.__call__. It is replaced for as long as someone listens, and no layer is
touched.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras

# The path of a layer ("backbone/block_1/relu", without the model itself) and its output -> what goes on in its place.
Tap = Callable[[str, Any], Any]


@contextmanager
def tapped(tap: Tap) -> Iterator[None]:
    """Inside this context, the output of each layer of a model that is called goes through `tap`.

    Inner layers come before the one that contains them.
    """
    plain = keras.Operation.__call__
    running: list[Any] = []  # the model, a layer of it, a layer of that one, ...

    def call(operation: Any, *args: Any, **kwargs: Any) -> Any:
        running.append(operation)
        try:
            output = plain(operation, *args, **kwargs)
            return tap("/".join(each.name for each in running[1:]), output) if _has_a_name(running) else output
        finally:
            running.pop()

    keras.Operation.__call__ = call
    try:
        yield
    finally:
        keras.Operation.__call__ = plain


def _has_a_name(running: list[Any]) -> bool:
    """Whether the innermost of these belongs to the model: an operator inside a layer has another name at each call."""
    if len(running) < 2:
        return False
    outer, inner = running[-2:]
    return isinstance(inner, keras.Layer) or inner in getattr(outer, "operations", ())
