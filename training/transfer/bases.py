"""Where the first layers come from: an architecture of keras.applications, the network of a recipe, or any .keras file.

Each is a model from uint8 pixels to its last map, the arithmetic that it was trained with inside. The architecture's layers
are put into that graph one by one instead of as a model inside a model, so that its last map is a layer like any other:
one can begin to train from it, and the exporter finds it for Grad-CAM.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from bundle import files, strict
from training.errors import DataError, RecipeError

if TYPE_CHECKING:
    import keras

Shape = tuple[int, int, int]
IMAGENET, RANDOM = "imagenet", "none"
Architecture = Literal["Xception", "VGG16", "ResNet50", "MobileNetV2", "EfficientNetB0"]


class Application(strict.Document, frozen=True, tag_field="name", tag="application"):
    """An architecture of keras.applications without its top."""

    architecture: Architecture
    weights: str  # imagenet, the path of a weights file without the top, or none: random ones

    modules: ClassVar[dict[str, str]] = {
        "Xception": "xception",
        "VGG16": "vgg16",
        "ResNet50": "resnet",
        "MobileNetV2": "mobilenet_v2",
        "EfficientNetB0": "efficientnet",
    }

    def untrained(self, shape: Shape) -> "keras.Model":
        """Pixels uint8 [N, H, W, 3] to the last map, with random weights. Raises RecipeError for a size it cannot have."""
        return self._built(shape, None)

    def trained(self, shape: Shape) -> "keras.Model":
        """The same with the recipe's weights. Raises DataError when they cannot be had."""
        if self.weights != IMAGENET:
            return _with_weights(self.untrained(shape), self.weights)
        try:
            return self._built(shape, IMAGENET)
        except RecipeError:
            raise
        except Exception as error:  # whatever a download can raise
            raise DataError(
                f"{self.architecture}: its ImageNet weights are not here, and the download through Keras failed ({error}). Run "
                "again with a network, or give the file of weights without top: --set base.weights=PATH"
            ) from error

    def origin(self) -> str:
        """What decides the layers, beside their weights."""
        return self.architecture

    def _built(self, shape: Shape, weights: str | None) -> "keras.Model":
        import keras

        if shape[-1] != 3:
            raise RecipeError(f'base: {self.architecture} takes colours; set preprocess.colour = "rgb"')
        pixels = keras.Input(shape, dtype="uint8", name="pixels")
        module = getattr(keras.applications, self.modules[self.architecture])
        tensor = module.preprocess_input(keras.ops.cast(pixels, "float32"))
        build = getattr(keras.applications, self.architecture)
        try:
            network: keras.Model = build(include_top=False, weights=weights, input_tensor=tensor)
        except ValueError as error:
            raise RecipeError(f"base: {self.architecture} cannot take pictures of {shape}: {error}") from error
        return network


class OfRecipe(strict.Document, frozen=True, tag_field="name", tag="recipe"):
    """The network of a recipe that classifies pictures, up to its last map."""

    recipe: str
    weights: str  # the path of model.keras of a run of that recipe, or none: random ones

    def untrained(self, shape: Shape) -> "keras.Model":
        """As with an architecture; the recipe must have the same preprocessing."""
        return cut(self._whole(shape))

    def trained(self, shape: Shape) -> "keras.Model":
        """The same with the weights of the run."""
        return cut(_with_weights(self._whole(shape), self.weights))

    def origin(self) -> str:
        """What decides the layers, beside their weights."""
        return self.recipe

    def _whole(self, shape: Shape) -> "keras.Model":
        from training.recipe import of_pictures

        chosen = of_pictures(self.recipe, [])
        _check_shape(f"base: recipe {self.recipe}", chosen.preprocess.shape, shape)
        return chosen.build()


class KerasFile(strict.Document, frozen=True, tag_field="name", tag="file"):
    """Any model that Keras has saved, up to its last map; takes uint8 pixels, as model.keras of a run does."""

    path: str

    def untrained(self, shape: Shape) -> "keras.Model":
        """A file has weights; it is the same as `trained`."""
        return self.trained(shape)

    def trained(self, shape: Shape) -> "keras.Model":
        """Pixels uint8 to the last map. Raises DataError when the file is not there or no such model."""
        import keras

        if not Path(self.path).is_file():
            raise DataError(
                f"base.path: there is no file {self.path}; train it first, or give another: --set base.path=FILE"
            )
        try:
            model = keras.models.load_model(self.path, compile=False)
        except Exception as error:  # Keras lets through whatever zip, JSON and HDF5 readers raise
            raise DataError(f"{self.path}: cannot be read as a Keras model: {error}") from error
        pixels = model.inputs[0]
        if pixels.dtype != "uint8" or len(pixels.shape) != 4:
            raise DataError(
                f"{self.path}: takes {pixels.dtype} {list(pixels.shape)}, not pictures of uint8; put it into a model whose first "
                "layers cast and scale them"
            )
        _check_shape(self.path, tuple(pixels.shape[1:]), shape)
        return cut(model)

    def origin(self) -> str:
        """What decides the layers: SHA-256 of the file."""
        return files.sha256(Path(self.path))


Base = Application | OfRecipe | KerasFile


def cut(model: "keras.Model") -> "keras.Model":
    """`model` up to its last map [N, H, W, C]. Raises DataError when it has none that is more than its scaled pixels."""
    import keras

    for position in range(len(model.layers) - 1, 0, -1):
        learnt = any(layer.weights for layer in model.layers[: position + 1])
        if learnt and _is_map(model.layers[position].output):
            return keras.Model(model.inputs[0], model.layers[position].output)
    raise DataError(f"{model.name}: has no layer with weights that gives a map; it cannot be a base")


def _is_map(output: Any) -> bool:
    return len(getattr(output, "shape", ())) == 4


def _with_weights(network: "keras.Model", weights: str) -> "keras.Model":
    if weights == RANDOM:
        return network
    if not Path(weights).is_file():
        raise DataError(
            f"base.weights: there is no file {weights}; train it first, or give another: --set base.weights=FILE"
        )
    try:
        network.load_weights(weights)
    except Exception as error:  # Keras lets through whatever zip and HDF5 readers raise
        raise DataError(f"{weights}: cannot be read as weights of {network.name}: {error}") from error
    return network


def _check_shape(what: str, takes: Shape, wanted: Shape) -> None:
    if takes != wanted:
        raise RecipeError(f"{what}: takes pictures {list(takes)}, but preprocess gives {list(wanted)}")
