"""What is done to a picture before the network sees it: the usual conventions by name, others from a TOML file.

A file says everything, there are no defaults; imagenet-torch is:

    colour = "rgb"              # the channels in the order that the network takes them: rgb, bgr or grey
    fit = "cover"               # how a picture of another shape is brought to size: cover, contain or stretch
    crop = 0.875                # for cover: how much of the shorter side is seen (resize to 256, crop 224)
    resampling = "bilinear"     # nearest, box, bilinear, bicubic or lanczos
    background = [0, 0, 0]      # shows through transparent pixels, and fills the bars of contain
    scale = 0.00392156862745098           # the network sees (pixel * scale - mean) / deviation,
    mean = [0.485, 0.456, 0.406]          # a number for each channel, in the order of `colour`
    deviation = [0.229, 0.224, 0.225]

Height and width are those that the model takes.
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from bundle import strict
from bundle.preprocess import PreprocessSpec
from exporter.errors import ExportError
from exporter.from_onnx.read import ImageInput


class Arithmetic(strict.Document, frozen=True):
    """From pixels to the numbers that the network takes: (pixel * scale - mean) / deviation."""

    colour: Literal["grey", "rgb", "bgr"]  # the channels in the order that the network takes them
    scale: float
    mean: list[float]  # one for each channel, in the order of `colour`
    deviation: list[Annotated[float, msgspec.Meta(gt=0)]]

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Pixels u8 [N, H, W, C] -> what the network takes, [N, H, W, C] in the order of `colour`."""
        ordered = pixels[..., ::-1] if self.colour == "bgr" else pixels
        numbers: NDArray[np.float64] = (ordered * self.scale - np.array(self.mean)) / np.array(self.deviation)
        return numbers

    @property
    def factor(self) -> NDArray[np.float32]:
        """The same arithmetic is pixel * factor + offset: [C]."""
        return np.array([self.scale / deviation for deviation in self.deviation], np.float32)

    @property
    def offset(self) -> NDArray[np.float32]:
        """The offset beside `factor`: [C]."""
        return np.array([-m / d for m, d in zip(self.mean, self.deviation, strict=True)], np.float32)

    @property
    def does_nothing(self) -> bool:
        """Whether the network takes the pixels as they are, red first."""
        return self.colour != "bgr" and bool(np.all(self.factor == 1) and np.all(self.offset == 0))


@dataclass(frozen=True)
class Preprocessing:
    """All that happens to a picture before the network."""

    pixels: PreprocessSpec
    arithmetic: Arithmetic


# The part of the picture that is seen is that of the usual evaluation on ImageNet: resize to 256, crop 224.
_IMAGENET = {"fit": "cover", "crop": 0.875, "resampling": "bilinear", "background": [0, 0, 0]}
_WHOLE = {**_IMAGENET, "crop": 1.0}
_PRESETS: dict[str, dict[str, Any]] = {
    # torchvision, timm
    "imagenet-torch": {
        **_IMAGENET, "colour": "rgb", "scale": 1 / 255, "mean": [0.485, 0.456, 0.406], "deviation": [0.229, 0.224, 0.225]
    },
    # Caffe, and in keras.applications VGG and ResNet
    "imagenet-caffe": {
        **_IMAGENET, "colour": "bgr", "scale": 1.0, "mean": [103.939, 116.779, 123.68], "deviation": [1.0, 1.0, 1.0]
    },
    # Inception, MobileNet and what else TensorFlow's slim brought: -1 to 1
    "imagenet-tf": {**_IMAGENET, "colour": "rgb", "scale": 1 / 127.5, "mean": [1.0] * 3, "deviation": [1.0] * 3},
    # 0 to 1
    "unit": {**_WHOLE, "colour": "rgb", "scale": 1 / 255, "mean": [0.0] * 3, "deviation": [1.0] * 3},
    # 0 to 255
    "none": {**_WHOLE, "colour": "rgb", "scale": 1.0, "mean": [0.0] * 3, "deviation": [1.0] * 3},
}  # fmt: skip
NAMES = ", ".join(_PRESETS)


def read(name: str, image: ImageInput) -> Preprocessing:
    """The preset `name`, or the TOML file of that path, for the pictures that `image` takes.

    Raises ExportError when there is neither, when the file is not exactly as above, and when it is for another number of
    channels.
    """
    preset = _PRESETS.get(name)
    table = _for_one_channel(name, preset) if preset and image.channels == 1 else preset or _table(Path(name))
    keys = Arithmetic.__struct_fields__
    try:
        arithmetic = msgspec.convert({key: table[key] for key in keys if key in table}, Arithmetic)
        size = {"height": image.height, "width": image.width, "colour": arithmetic.colour.replace("bgr", "rgb")}
        others = {key: value for key, value in table.items() if key not in keys}
        if size.keys() & others.keys():
            raise msgspec.ValidationError("`height` and `width` are those of the model; leave them out")
        pixels = msgspec.convert({**others, **size}, PreprocessSpec)
    except msgspec.ValidationError as error:
        raise ExportError(f"--preprocess {name}: {error}") from error
    _check(name, arithmetic, image)
    return Preprocessing(pixels, arithmetic)


def _table(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise ExportError(
            f"--preprocess {path}: there is no such file, nor such a preset; the presets are {NAMES}"
        ) from error
    except OSError as error:
        raise ExportError(f"--preprocess {path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ExportError(f"--preprocess {path}: not valid TOML: {error}") from error


def _for_one_channel(name: str, preset: dict[str, Any]) -> dict[str, Any]:
    if len(set(preset["mean"])) > 1 or preset["colour"] == "bgr":
        raise ExportError(
            f"--preprocess {name}: is for colour pictures and the model takes grey ones; choose unit, none or imagenet-tf, or "
            "describe the arithmetic in a TOML file"
        )
    return {**preset, "colour": "grey", "mean": preset["mean"][:1], "deviation": preset["deviation"][:1]}


def _check(name: str, arithmetic: Arithmetic, image: ImageInput) -> None:
    channels = 1 if arithmetic.colour == "grey" else 3
    if channels != image.channels:
        raise ExportError(
            f"--preprocess {name}: `colour` is {arithmetic.colour}, but the model takes {image.channels} channels"
        )
    for key, values in (("mean", arithmetic.mean), ("deviation", arithmetic.deviation)):
        if len(values) != channels:
            raise ExportError(f"--preprocess {name}: `{key}` has {len(values)} numbers for {channels} channels")
    if image.dtype == np.uint8 and not arithmetic.does_nothing:
        raise ExportError(
            f"--preprocess {name}: the model takes bytes, so that its arithmetic is inside it; use none, or a TOML file "
            "with scale 1, mean 0 and deviation 1"
        )
