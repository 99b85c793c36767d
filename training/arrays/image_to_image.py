"""Picture in, picture out: an autoencoder, which learns to give back what it was shown, or a denoiser, which was shown it with noise."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from bundle import strict
from bundle.manifest import NotNegative, Positive
from bundle.preprocess import PreprocessSpec
from training.data import Data
from training.data.dataset import SplitName
from training.optimisation import Training
from training.tasks.common import Figure, Trained

if TYPE_CHECKING:
    import keras

    from training.arrays.trainer import Lesson

ERROR = "mean_absolute_error"  # in levels of 0..255
WHITE = 255


class Autoencoder(strict.Document, frozen=True):
    """Convolutions of 3 x 3 with ReLU, each halving the map; the same backwards, each doubling it; a sigmoid.

    With skips, each map on the way up is added to the one of its size on the way down, as in RED-Net (arXiv:1603.09056): what is
    only to be cleaned keeps its edges. Without them, everything has to pass the code.
    """

    filters: Annotated[list[Positive], msgspec.Meta(min_length=1)]  # on the way down; the last are those of the code
    skips: bool

    def build(self, shape: tuple[int, int, int]) -> "keras.Model":
        """The untrained network: `pixels` uint8 [N, H, W, C] to `picture` float32 [N, H, W, C], 0..255.

        A side that does not halve evenly is rounded up on the way down, and what is then too much cut off on the way up.
        """
        from keras import Input, Model, layers

        pixels = Input(shape, dtype="uint8", name="pixels")
        tensor: Any = layers.Rescaling(1 / WHITE, name="rescaling")(pixels)
        maps = []
        for number, filters in enumerate(self.filters, 1):
            maps.append(_convolution(filters, f"down{number}")(tensor))
            tensor = layers.MaxPooling2D(2, padding="same", name=f"pool{number}")(maps[-1])
        for number, before in enumerate(reversed(maps), 1):
            tensor = _convolution(before.shape[3], f"up{number}")(tensor)
            tensor = layers.UpSampling2D(2, name=f"double{number}")(tensor)
            over = tuple((0, have - want) for have, want in zip(tensor.shape[1:3], before.shape[1:3], strict=True))
            tensor = layers.Cropping2D(over, name=f"cut{number}")(tensor)
            if self.skips:
                tensor = layers.Add(name=f"skip{number}")([tensor, before])
        light = layers.Conv2D(shape[2], 3, padding="same", activation="sigmoid", name="light")(tensor)
        return Model(pixels, layers.Rescaling(WHITE, name="picture")(light))


def _convolution(filters: int, name: str) -> Any:
    from keras import layers

    return layers.Conv2D(filters, 3, padding="same", activation="relu", name=name)


class ImageToImage(strict.Document, frozen=True, tag_field="task", tag="image-to-image"):
    """A recipe file with task = "image-to-image"."""

    summary: str
    notes: list[Figure]  # what the course notes found; empty for networks that they do not have
    data: Data
    preprocess: PreprocessSpec
    noise: (
        NotNegative  # deviation of what is added to each number of what goes in, in levels of 0..255; 0: an autoencoder
    )
    network: Autoencoder
    training: Training

    @property
    def data_name(self) -> str:
        """The name of the data set."""
        return str(type(self.data).__struct_config__.tag)

    @property
    def input(self) -> str:
        """What the network takes: height x width x channels."""
        return "x".join(map(str, self.preprocess.shape))

    @property
    def output(self) -> str:
        """What it answers."""
        return "a picture"

    def build(self) -> "keras.Model":
        """The untrained network."""
        return self.network.build(self.preprocess.shape)

    def lesson(self) -> "Lesson":
        """Everything that is needed to train it; raises RecipeError and DataError."""
        from training.arrays import pages
        from training.arrays.trainer import Lesson
        from training.fit import Objective

        model = self.build()
        splits = self._examples()

        def draw(folder: Path) -> None:
            pages.pictures(folder / "pictures.png", model, splits["test"], noisy=self.noise > 0)

        return Lesson(model, model, Objective(ERROR, ERROR), ".2f", splits, splits, [], self.preprocess, draw)

    def _examples(self) -> dict[SplitName, tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
        """What is shown, and what is to be given back, of every split: pixels uint8 [N, H, W, C]."""
        from training.data.dataset import pixels_of
        from training.progress import bar

        splits = self.data.load().splits
        random = np.random.default_rng(self.training.seed)
        with bar() as progress:
            task = progress.add_task("pictures", total=sum(len(split.pictures) for split in splits.values()))
            clean = {
                name: pixels_of(split.pictures, self.preprocess, lambda: progress.advance(task))
                for name, split in splits.items()
            }
        return {name: (noisy(pixels, self.noise, random), pixels) for name, pixels in clean.items()}

    def train(self, name: str, out: Path, command: str) -> Trained:
        """See training.arrays.trainer.train."""
        from training.arrays import trainer

        return trainer.train(name, self, out, command)


def noisy(pixels: NDArray[np.uint8], deviation: float, random: np.random.Generator) -> NDArray[np.uint8]:
    """Pixels [N, H, W, C] with normal noise of `deviation` levels added, one picture at a time; themselves for none."""
    if not deviation:
        return pixels
    shown = np.empty_like(pixels)
    for number, picture in enumerate(pixels):
        levels = picture + random.normal(0, deviation, picture.shape)
        shown[number] = np.clip(np.rint(levels), 0, WHITE)
    return shown
