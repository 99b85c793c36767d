"""Dense networks on pictures: every pixel has a weight of its own in every unit, wherever in the picture it is."""

from typing import TYPE_CHECKING

from bundle import strict
from training.networks.classes import Classes
from training.networks.parts import Head, Layers, pixels_in

if TYPE_CHECKING:
    import keras


class Dense(strict.Document, frozen=True, tag_field="name", tag="dense"):
    """The pixels as one vector, dense layers, probabilities."""

    layers: Layers
    head: Head

    def build(self, shape: tuple[int, int, int], classes: Classes) -> "keras.Model":
        """The untrained model: uint8 [N, H, W, C] to float32 [N, K], or [N, 1] with one sigmoid for two classes."""
        from keras import Model

        pixels, tensor = pixels_in(shape)
        return Model(pixels, self.head.build(tensor, self.layers, classes))
