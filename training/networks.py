"""The networks a recipe can name: Keras models from uint8 pixels to probabilities.

The arithmetic on pixels is the first layer, so that it is trained, exported and served as the same operations; what comes
before it (decoding, resizing) is `bundle.preprocess`. The last layer holds the softmax or sigmoid.
"""

from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from bundle import strict
from bundle.manifest import Positive
from training.errors import RecipeError

if TYPE_CHECKING:
    import keras


class Block(strict.Document, frozen=True):
    """A square convolution without padding, ReLU, then max pooling over `pool` x `pool`; a pool of 1 is none."""

    filters: Positive
    kernel: Positive
    pool: Positive


class Convolutional(strict.Document, frozen=True, tag_field="name", tag="convolutional"):
    """Convolutional blocks, one vector out of the last map, dense layers with ReLU, dropout, probabilities."""

    blocks: Annotated[list[Block], msgspec.Meta(min_length=1)]
    head: Literal["flatten", "average"]  # average: global average pooling
    dense: list[Positive]
    dropout: Annotated[float, msgspec.Meta(ge=0, lt=1)]  # 0 is none

    def build(self, shape: tuple[int, int, int], classes: int) -> "keras.Model":
        """The untrained model: uint8 [N, H, W, C] to float32 [N, K], or [N, 1] with one sigmoid for two classes.

        Raises RecipeError when the blocks shrink the map to nothing.
        """
        from keras import Input, Model, layers

        self._check_fit(shape)
        pixels = Input(shape, dtype="uint8", name="pixels")
        # To -1..1: with 0..1 training sometimes ended with every ReLU dead in the first epochs.
        tensor = layers.Rescaling(1 / 127.5, offset=-1, name="rescaling")(pixels)
        for number, block in enumerate(self.blocks, 1):
            tensor = layers.Conv2D(block.filters, block.kernel, activation="relu", name=f"conv{number}")(tensor)
            if block.pool > 1:
                tensor = layers.MaxPooling2D(block.pool, name=f"pool{number}")(tensor)
        if self.head == "average":
            tensor = layers.GlobalAveragePooling2D(name="average")(tensor)
        else:
            tensor = layers.Flatten(name="flatten")(tensor)
        for number, units in enumerate(self.dense, 1):
            tensor = layers.Dense(units, activation="relu", name=f"dense{number}")(tensor)
        if self.dropout > 0:
            tensor = layers.Dropout(self.dropout, name="dropout")(tensor)
        units, activation = (1, "sigmoid") if classes == 2 else (classes, "softmax")
        return Model(pixels, layers.Dense(units, activation=activation, name="probabilities")(tensor))

    def _check_fit(self, shape: tuple[int, int, int]) -> None:
        height, width, _ = shape
        for index, block in enumerate(self.blocks):
            if min(height, width) < block.kernel + block.pool - 1:
                raise RecipeError(
                    f"network.blocks[{index}] does not fit: its kernel of {block.kernel} and pool of {block.pool} meet a "
                    f"map of {height}x{width}; take a smaller kernel or pool here or before"
                )
            height, width = ((side - block.kernel + 1) // block.pool for side in (height, width))


Network = Convolutional
