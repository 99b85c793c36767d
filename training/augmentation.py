"""What is done at random to pictures in training, so that a network sees no picture twice.

Keras layers between the pixels and the network, in the graph that is trained and never in the one that is kept: the
network is a layer of that graph, and it is the network that is saved. Its input stays whole grey levels 0..255, as in
service, and validation sees pictures as they are. The layers are drawn from as often as batches are made, from seeds of
their own, so that a run can be repeated.
"""

from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from bundle import strict
from training.errors import RecipeError

if TYPE_CHECKING:
    import keras

Share = Annotated[float, msgspec.Meta(ge=0, lt=1)]
# What is behind the edge of a picture: a grey level, the nearest pixel, the picture in a mirror, or its other side.
Fill = Annotated[int, msgspec.Meta(ge=0, le=255)] | Literal["nearest", "reflect", "wrap"]


def _fill(fill: Fill) -> dict[str, object]:
    return {"fill_mode": "constant", "fill_value": fill / 255} if isinstance(fill, int) else {"fill_mode": fill}


class Flip(strict.Document, frozen=True, tag_field="name", tag="flip"):
    """Half of the pictures are turned left to right (horizontal) or upside down (vertical)."""

    axis: Literal["horizontal", "vertical"]

    def layer(self, seed: int) -> "keras.Layer":
        """float32 [N, H, W, C], 0..1, to the same, as with every step."""
        from keras import layers

        return layers.RandomFlip(self.axis, seed=seed)


class Rotation(strict.Document, frozen=True, tag_field="name", tag="rotation"):
    """Turned about the centre, at most so far to either side."""

    degrees: Annotated[float, msgspec.Meta(gt=0, le=180)]
    fill: Fill

    def layer(self, seed: int) -> "keras.Layer":
        """The layer of this step."""
        from keras import layers

        return layers.RandomRotation(self.degrees / 360, seed=seed, **_fill(self.fill))


class Shift(strict.Document, frozen=True, tag_field="name", tag="shift"):
    """Moved, at most by these shares of height and width, either way."""

    height: Share
    width: Share
    fill: Fill

    def layer(self, seed: int) -> "keras.Layer":
        """The layer of this step."""
        from keras import layers

        return layers.RandomTranslation(self.height, self.width, seed=seed, **_fill(self.fill))


class Shear(strict.Document, frozen=True, tag_field="name", tag="shear"):
    """Slanted: x moves by at most `x` of y, and y by at most `y` of x, either way."""

    x: Share
    y: Share
    fill: Fill

    def layer(self, seed: int) -> "keras.Layer":
        """The layer of this step."""
        from keras import layers

        return layers.RandomShear((0.0, self.x), (0.0, self.y), seed=seed, **_fill(self.fill))


class Zoom(strict.Document, frozen=True, tag_field="name", tag="zoom"):
    """Made larger or smaller by at most this share, with its proportions kept."""

    share: Annotated[float, msgspec.Meta(gt=0, lt=1)]
    fill: Fill

    def layer(self, seed: int) -> "keras.Layer":
        """The layer of this step."""
        from keras import layers

        return layers.RandomZoom((-self.share, self.share), seed=seed, **_fill(self.fill))


class Noise(strict.Document, frozen=True, tag_field="name", tag="noise"):
    """Normal noise on every channel of every pixel."""

    deviation: Annotated[float, msgspec.Meta(gt=0, le=255)]  # in grey levels

    def layer(self, seed: int) -> "keras.Layer":
        """The layer of this step."""
        from keras import layers

        return layers.GaussianNoise(self.deviation / 255, seed=seed)


class Colour(strict.Document, frozen=True, tag_field="name", tag="colour"):
    """Other light and other colours: how far each may go from the picture as it is, 0 being not at all."""

    brightness: Share  # of the whole range, lighter or darker
    contrast: Share  # of the distance from the mean, more or less
    saturation: Share  # 1 would be from grey to fully saturated
    hue: Share  # 1 would be half round the colour wheel, either way

    def layer(self, seed: int) -> "keras.Layer":
        """The layer of this step."""
        from keras import layers

        half = self.saturation / 2
        return layers.RandomColorJitter(
            value_range=(0.0, 1.0),
            brightness_factor=self.brightness or None,
            contrast_factor=self.contrast or None,
            saturation_factor=(0.5 - half, 0.5 + half) if half else None,
            hue_factor=self.hue or None,
            seed=seed,
        )


Augmentation = Flip | Rotation | Shift | Shear | Zoom | Noise | Colour


def augmenter(steps: list[Augmentation], shape: tuple[int, int, int], seed: int) -> "keras.Model":
    """The `steps` in their order as a model: uint8 [N, H, W, C] to the same; does nothing when it is not training.

    Raises RecipeError when a step needs colours and the pictures are grey.
    """
    from keras import Input, Model, layers, ops

    for index, step in enumerate(steps):
        if shape[-1] == 1 and isinstance(step, Colour) and (step.saturation or step.hue):
            raise RecipeError(f"augmentation[{index}]: grey pictures have no saturation and no hue; set both to 0")
    pixels = Input(shape, dtype="uint8", name="pixels")
    tensor = layers.Rescaling(1 / 255)(pixels)
    for number, step in enumerate(steps):
        tensor = step.layer(seed + number)(tensor)
    levels = ops.clip(ops.round(tensor * 255), 0, 255)
    return Model(pixels, ops.cast(levels, "uint8"), name="augmentation")


def before(model: "keras.Model", steps: list[Augmentation], seed: int) -> "keras.Model":
    """`model` behind the `steps`, to be trained in its place; its weights are those of `model`."""
    from keras import Sequential

    if not steps:
        return model
    return Sequential([augmenter(steps, model.input_shape[1:], seed), model])


def augmented(steps: list[Augmentation], pixels: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
    """`pixels` [N, H, W, C] as training could see them."""
    changed: NDArray[np.uint8] = np.asarray(augmenter(steps, pixels.shape[1:], seed)(pixels, training=True))
    return changed
