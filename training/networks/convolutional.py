"""Convolutional networks as a list of blocks: LeNet's, VGG's and what is between them."""

from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from bundle import strict
from bundle.manifest import Positive
from training.errors import RecipeError
from training.networks.classes import Classes
from training.networks.parts import Head, Layers, Share, dropped, pixels_in

if TYPE_CHECKING:
    import keras


class Block(strict.Document, frozen=True):
    """A square convolution, ReLU, then max pooling over `pool` x `pool`; a pool of 1 is none."""

    filters: Positive
    kernel: Positive
    pool: Positive
    dropout: Share  # how much of the block's output is dropped in training; 0 is none


class Convolutional(strict.Document, frozen=True, tag_field="name", tag="convolutional"):
    """Convolutional blocks, then the head."""

    blocks: Annotated[list[Block], msgspec.Meta(min_length=1)]
    padding: Literal["valid", "same"]  # of the convolutions: none, or zeros so that the map keeps its size
    layers: Layers
    head: Head

    def build(self, shape: tuple[int, int, int], classes: Classes) -> "keras.Model":
        """The untrained model: uint8 [N, H, W, C] to float32 [N, K], or [N, 1] with one sigmoid for two classes.

        Raises RecipeError when the blocks shrink the map to nothing.
        """
        from keras import Model
        from keras.layers import Conv2D, MaxPooling2D

        self._check_fit(shape)
        pixels, tensor = pixels_in(shape)
        for number, block in enumerate(self.blocks, 1):
            tensor = self.layers.active(
                tensor, Conv2D, f"conv{number}", filters=block.filters, kernel_size=block.kernel, padding=self.padding
            )
            if block.pool > 1:
                tensor = MaxPooling2D(block.pool, name=f"pool{number}")(tensor)
            tensor = dropped(tensor, block.dropout, f"dropout{number}")
        return Model(pixels, self.head.build(tensor, self.layers, classes))

    def _check_fit(self, shape: tuple[int, int, int]) -> None:
        height, width, _ = shape
        for index, block in enumerate(self.blocks):
            lost = block.kernel - 1 if self.padding == "valid" else 0
            if min(height, width) - lost < block.pool:
                raise RecipeError(
                    f"network.blocks[{index}] does not fit: its kernel of {block.kernel} and pool of {block.pool} meet a "
                    f"map of {height}x{width}; take a smaller kernel or pool here or before"
                )
            height, width = ((side - lost) // block.pool for side in (height, width))
