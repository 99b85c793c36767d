"""What is looked into: a network that takes pixels float32 [N, H, W, C], 0..255, so that there are gradients at its pixels.

All sources come to the same form. A run's model takes uint8 and scales inside; an architecture of keras.applications gets its
own `preprocess_input` in front.
"""

import inspect
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from bundle import run as runs
from training.errors import DataError, RecipeError
from training.look.taps import tapped

Size = tuple[int, int]  # height, width
_DEFAULT_SIZE = (224, 224)  # where a network leaves it open
_NO_PLACE = (keras.layers.InputLayer, keras.layers.Rescaling, keras.layers.Dropout, keras.layers.ZeroPadding2D)


@dataclass(frozen=True)
class Network:
    """A network to look into."""

    model: keras.Model  # float32 [N, H, W, C], 0..255
    labels: list[str]  # of the classes; empty where it has none
    samples: NDArray[np.uint8] | None  # pictures that it was tested with, [S, H, W, C]

    @property
    def size(self) -> Size:
        """Height and width of the pictures it takes, 224 where it leaves them open."""
        height, width = self.model.inputs[0].shape[1:3]
        return height or _DEFAULT_SIZE[0], width or _DEFAULT_SIZE[1]

    @property
    def any_size(self) -> bool:
        """Whether its convolutions work on pictures of other sizes too: a network inside it is made for one."""
        return not any(isinstance(layer, keras.Model) for layer in self.model.layers)

    @property
    def channels(self) -> int:
        """1 for grey pictures, 3 for colours."""
        return int(self.model.inputs[0].shape[3])

    def places(self) -> dict[str, tuple[int, int, int]]:
        """The layers that put out a map: path -> (h, w, C) at the network's own size, from input to output."""
        found: dict[str, tuple[int, int, int]] = {}

        def note(path: str, layer: keras.Layer, output: Any) -> None:
            if len(getattr(output, "shape", ())) == 4 and not isinstance(layer, (keras.Model, *_NO_PLACE)):
                found[path] = tuple(output.shape[1:])

        with tapped(note):
            self.model(tf.zeros((1, *self.size, self.channels)), training=False)
        return {path: shape for path, shape in found.items() if min(shape[:2]) > 1}

    def checked(self, asked: Sequence[str]) -> list[str]:
        """The paths `asked` for; raises RecipeError, with those that there are, when one is no layer with maps."""
        there = self.places()
        for path in asked:
            if path not in there:
                raise RecipeError(f"--layer {path}: no layer with maps is called so; there are {', '.join(there)}")
        return list(asked)

    def convolutions(self) -> list[str]:
        """Paths of the layers with maps that are no pooling: where something is looked for."""
        found = [path for path in self.places() if not any(word in path.lower() for word in ("pool", "pad"))]
        if not found:
            raise RecipeError(
                "the network has no layer that puts out maps: only convolutional networks can be looked into"
            )
        return found

    def until(self, paths: Sequence[str], size: Size, bare: bool = False) -> keras.Model:
        """The part of the network up to the last of `paths`, for pictures of another `size`, as a copy.

        `bare`: the layers `paths` without the activation in them, which has no gradient where it is shut. Raises RecipeError when a part of it is made for one size only.
        """
        order = [layer.name for layer in self.model.layers]
        last = max((path.partition("/")[0] for path in paths), key=order.index)
        part = keras.Model(self.model.inputs[0], self.model.get_layer(last).output)
        try:
            return _with_input(part, keras.Input((*size, self.channels)), paths if bare else ())
        except ValueError as error:
            own = "x".join(map(str, self.size))
            raise RecipeError(
                f"--size {size[0]}x{size[1]}: this network cannot take it, because a part of it is made for {own}"
            ) from error


def maps(model: keras.Model, pixels: Any, paths: Sequence[str]) -> tuple[Any, list[Any]]:
    """What `model` answers for pixels [N, H, W, C], and the outputs of the layers `paths`, each [N, h, w, C']."""
    found: dict[str, Any] = {}

    def note(path: str, _: keras.Layer, output: Any) -> None:
        if path in paths:
            found[path] = output

    with tapped(note):
        answer = model(pixels, training=False)
    return answer, [found[path] for path in paths]


def load(source: str, weights: str, top: bool) -> Network:
    """The network `source`: a run folder, a .keras file, or an architecture with `weights` (none, imagenet or a path).

    `top`: an architecture with its classifier; without, it takes any size. Raises RecipeError for a name that there is
    not, DataError for what cannot be read.
    """
    path = Path(source)
    if path.is_dir():
        run = runs.read(path)
        return Network(_read(path / runs.KERAS_MODEL), run.labels, runs.read_samples(path)[0])
    if path.suffix == ".keras":
        return Network(_read(path), [], None)
    return Network(_application(source, weights, top), [], None)


def picture(network: Network, path: Path, size: Size | None) -> NDArray[np.float32]:
    """The picture file `path` as the network takes it, [1, H, W, C] 0..255, stretched to `size`.

    Raises DataError when it is no picture.
    """
    height, width = size or network.size
    try:
        with Image.open(path) as image:
            fitted = image.convert("L" if network.channels == 1 else "RGB").resize((width, height))
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: cannot be read as a picture: {error}") from error
    return np.asarray(fitted, np.float32).reshape(1, height, width, network.channels)


def _read(path: Path) -> keras.Model:
    try:
        model = keras.models.load_model(path, compile=False)
    except Exception as error:
        raise DataError(f"{path}: cannot be read as a Keras model: {error}") from error
    if len(model.inputs) != 1 or len(model.inputs[0].shape) != 4:
        raise DataError(f"{path}: takes {[list(each.shape) for each in model.inputs]}, not one batch of pictures")
    return behind_floats(model)


def behind_floats(model: keras.Model) -> keras.Model:
    """A copy of `model` that takes its pixels as float32, so that there are gradients at them."""
    return _with_input(model, keras.Input(model.inputs[0].shape[1:]))


def _with_input(model: keras.Model, pixels: Any, bare: Sequence[str] = ()) -> keras.Model:
    """A copy of `model`, with its weights, behind another input; the layers `bare` lose their activation."""

    def copied(layer: keras.Layer) -> keras.Layer:
        settings = layer.get_config()
        if layer.name in bare and isinstance(settings.get("activation"), str):
            settings["activation"] = "linear"
        return type(layer).from_config(settings)

    plain = keras.Model(model.inputs[0], model.outputs[0])  # however it packs its one input and its one output
    copy = keras.models.clone_model(plain, input_tensors=pixels, clone_function=copied)
    copy.set_weights(model.get_weights())
    return copy


def _application(name: str, weights: str, top: bool) -> keras.Model:
    builders = dict(inspect.getmembers(keras.applications, inspect.isfunction))
    known = {each.lower(): each for each in builders}
    if name.lower() not in known:
        raise RecipeError(
            f"{name}: no run folder, .keras file or architecture; architectures are {', '.join(builders)}"
        )
    builder = builders[known[name.lower()]]
    module = getattr(keras.applications, builder.__module__.rpartition(".")[2])
    pixels = keras.Input((*_DEFAULT_SIZE, 3) if top else (None, None, 3))
    given = {"weights": None if weights == "none" else weights, "include_top": top}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sizes that it chooses as documented
            return builder(input_tensor=module.preprocess_input(pixels), **given)
    except Exception as error:
        raise DataError(f"{name} with weights {weights}: {str(error).splitlines()[0]}") from error
