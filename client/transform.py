"""Pictures through a model that answers with pictures.

A picture is decoded and brought to the model's size here, by the same code and the same numbers as in training: the model's
configuration carries them. The server gets and gives arrays.
"""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bundle import preprocess
from bundle.preprocess import PreprocessSpec
from client.tensors import Array, TensorModel

Infer = Callable[[Mapping[str, Array]], Mapping[str, Array]]


@dataclass(frozen=True)
class PictureModel:
    """What is known of a model that takes and gives pictures."""

    input: str
    output: str
    preprocess: PreprocessSpec


def picture_model(model: TensorModel) -> PictureModel:
    """How `model` is asked with pictures. Raises ValueError when it takes or gives something else."""
    pictures = [each for each in model.outputs if len(each.shape) == 3 and each.shape[2] in (1, 3)]
    if model.preprocess is None or len(model.inputs) != 1 or len(pictures) != 1:
        raise ValueError(
            f"{model.name} does not make pictures of pictures: that takes one array of pictures, says how they are made "
            "(`preprocess`), and answers with one array of [n, height, width, 1 or 3]"
        )
    return PictureModel(model.inputs[0].name, pictures[0].name, model.preprocess)


def transform(data: bytes, model: PictureModel, infer: Infer) -> Image.Image:
    """What `model` makes of the picture file `data`, in the model's size. Raises PictureError for what is no picture."""
    pixels = preprocess.from_bytes(data, model.preprocess).pixels
    answer = infer({model.input: pixels[np.newaxis]})[model.output][0]
    return Image.fromarray(as_pixels(answer).squeeze(-1) if answer.shape[-1] == 1 else as_pixels(answer))


def as_pixels(levels: Array) -> NDArray[np.uint8]:
    """Levels 0..255 of any type, rounded."""
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)


def to_png(picture: Image.Image) -> bytes:
    """The picture as a PNG file."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()
