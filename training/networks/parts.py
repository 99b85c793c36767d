"""Parts that several networks are made of: what is common to the layers with weights, and the head of a classifier."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from bundle import strict
from bundle.manifest import Positive
from training.networks.classes import Classes

if TYPE_CHECKING:
    import keras

Share = Annotated[float, msgspec.Meta(ge=0, lt=1)]
Penalty = Annotated[float, msgspec.Meta(ge=0)]


class Layers(strict.Document, frozen=True):
    """What the layers with weights, but for the last one, have in common."""

    initialiser: Literal["glorot_uniform", "he_uniform", "he_normal"]  # of weights; biases begin at zero
    l1: Penalty  # added to the loss for each weight: l1 |w| + l2 w^2
    l2: Penalty
    batch_normalisation: bool  # between a layer and its ReLU (arXiv:1502.03167); takes the place of its bias

    def active(self, tensor: Any, layer: "type[keras.Layer]", name: str, **options: Any) -> Any:
        """`tensor` through a `layer` (Conv2D, Dense) called `name` and a ReLU."""
        from keras import layers, regularizers

        penalty = regularizers.L1L2(self.l1, self.l2) if self.l1 or self.l2 else None
        made = {"name": name, "kernel_initializer": self.initialiser, "kernel_regularizer": penalty, **options}
        if not self.batch_normalisation:
            return layer(activation="relu", **made)(tensor)
        tensor = layer(use_bias=False, **made)(tensor)
        tensor = layers.BatchNormalization(name=f"{name}_normalisation")(tensor)
        return layers.ReLU(name=f"{name}_relu")(tensor)


class Head(strict.Document, frozen=True):
    """From the last map of a network to probabilities: one vector, dense layers with ReLU, softmax or sigmoid."""

    vector: Literal["flatten", "average", "max"]  # average, max: over the whole map (global pooling)
    vector_dropout: Share  # how much of the vector is dropped in training; 0 is none
    dense: list[Positive]  # units of the layers between vector and probabilities
    dense_dropout: Share  # how much of the output of each of them is dropped

    def build(self, tensor: Any, layers: Layers, classes: Classes) -> Any:
        """Probabilities float32 [N, K], or [N, 1] for two classes, from a map [N, H, W, C]."""
        from keras.layers import Dense, Flatten, GlobalAveragePooling2D, GlobalMaxPooling2D

        vector = {"flatten": Flatten, "average": GlobalAveragePooling2D, "max": GlobalMaxPooling2D}[self.vector]
        tensor = dropped(vector(name=self.vector)(tensor), self.vector_dropout, "vector_dropout")
        for number, units in enumerate(self.dense, 1):
            tensor = layers.active(tensor, Dense, f"dense{number}", units=units)
            tensor = dropped(tensor, self.dense_dropout, f"dense{number}_dropout")
        return Dense(classes.units, activation=classes.activation, name="probabilities")(tensor)


def dropped(tensor: Any, share: float, name: str) -> Any:
    """`tensor` through a dropout layer; itself when nothing is to be dropped."""
    from keras.layers import Dropout

    return Dropout(share, name=name)(tensor) if share else tensor


def pixels_in(shape: tuple[int, int, int]) -> tuple[Any, Any]:
    """The input uint8 [N, H, W, C] of a network of pictures, and its pixels as float32 from -1 to 1.

    To -1..1, because with 0..1 training sometimes ended with every ReLU dead in the first epochs.
    """
    from keras import Input
    from keras.layers import Rescaling

    pixels = Input(shape, dtype="uint8", name="pixels")
    return pixels, Rescaling(1 / 127.5, offset=-1, name="rescaling")(pixels)
