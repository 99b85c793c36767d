"""Base and head in one graph, and what of it is trained."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import keras

from training.errors import RecipeError, hint
from training.networks.classes import Classes
from training.networks.parts import Head, Layers


@dataclass(frozen=True)
class Network:
    """pixels uint8 [N, H, W, C] -> base -> last map -> vector -> head -> probabilities."""

    model: keras.Model
    base: list[keras.Layer]
    vector: keras.Layer  # what makes a vector of the last map

    @property
    def extractor(self) -> keras.Model:
        """Pixels to the vector float32 [N, D]: all that stays as it is while the base is frozen."""
        return keras.Model(self.model.inputs[0], self.vector.output)

    @property
    def head(self) -> keras.Model:
        """The vector to probabilities: the same layers as in the whole model, so that training one trains the other."""
        return keras.Model(self.vector.output, self.model.output)

    @property
    def trainable(self) -> int:
        """Parameters that are trained now."""
        return _count(self.model.trainable_weights)

    @property
    def trainable_in_base(self) -> int:
        """Those of them that are in the base."""
        return sum(_count(layer.trainable_weights) for layer in self.base)

    @property
    def words(self) -> str:
        """The counts, for the terminal."""
        base = sum(_count(layer.weights) for layer in self.base)
        return (
            f"{self.trainable:,} of {self.model.count_params():,} parameters are trained; of the base's {base:,} "
            f"{self.trainable_in_base:,}, the other {base - self.trainable_in_base:,} are frozen"
        )

    def freeze(self) -> None:
        """Nothing in the base is trained; batch normalisation then also keeps to its stored means."""
        for layer in self.base:
            layer.trainable = False

    def unfreeze(self, first: str) -> None:
        """Trains the base from its layer `first` on, but for batch normalisation, whose means few pictures would spoil.

        Raises RecipeError when there is no such layer, or nothing in it and after it to train.
        """
        for layer in self.base[self.position(first) :]:
            layer.trainable = not isinstance(layer, keras.layers.BatchNormalization)

    def position(self, first: str) -> int:
        """Where the layer `first` is in the base; raises RecipeError like `unfreeze`."""
        names = [layer.name for layer in self.base]
        if first not in names:
            raise RecipeError(f"fine_tuning.first: the base has no layer {first!r}{hint(first, names)}")
        position = names.index(first)
        if not any(layer.weights for layer in self.base[position:]):
            raise RecipeError(
                f"fine_tuning.first: from {first} on the base has nothing to train; name an earlier layer"
            )
        return position


def assembled(base: keras.Model, head: Head, layers: Layers, classes: Classes) -> Network:
    """A new `head` on `base`, which is frozen."""
    probabilities = head.build(base.output, layers, classes)
    model = keras.Model(base.inputs[0], probabilities)
    network = Network(model, list(base.layers), model.get_layer(head.vector))
    network.freeze()
    return network


def _count(weights: Iterable[keras.Variable]) -> int:
    return sum(math.prod(weight.shape) for weight in weights)
