"""Pictures through a model that answers with pictures, without a server: what is sent, and what becomes of the answer."""

import io
from collections.abc import Mapping

import numpy as np
import pytest
from PIL import Image

from bundle import preprocess
from bundle.errors import PictureError
from bundle.preprocess import PreprocessSpec
from client.tensors import Array, TensorInfo, TensorModel
from client.transform import picture_model, transform

SPEC = PreprocessSpec(
    height=4, width=6, colour="rgb", fit="cover", crop=0.9, resampling="bilinear", background=(0, 0, 0)
)
MODEL = TensorModel(
    "mirror", (TensorInfo("pixels", "UINT8", (4, 6, 3)),), (TensorInfo("picture", "FP32", (4, 6, 3)),), (), SPEC
)


def png(height: int = 20, width: int = 24) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_picture_is_sent_as_training_would_have_made_it_and_the_answer_is_rounded() -> None:
    sent: list[Array] = []

    def darker(inputs: Mapping[str, Array]) -> dict[str, Array]:
        sent.append(inputs["pixels"])
        return {"picture": inputs["pixels"] - 20.4}

    made = transform(png(), picture_model(MODEL), darker)
    expected = preprocess.from_bytes(png(), SPEC).pixels
    np.testing.assert_array_equal(sent[0], expected[np.newaxis])
    np.testing.assert_array_equal(np.asarray(made), np.clip(expected.astype(int) - 20, 0, 255))


def test_what_is_no_picture_is_refused() -> None:
    with pytest.raises(PictureError, match="not a picture"):
        transform(b"text", picture_model(MODEL), lambda _: {})


@pytest.mark.parametrize(
    ("outputs", "spec"),
    [(MODEL.outputs, None), ((TensorInfo("scores", "FP32", (3,)),), SPEC), ((*MODEL.outputs, *MODEL.outputs), SPEC)],
)
def test_a_model_of_another_kind_is_refused_by_name(
    outputs: tuple[TensorInfo, ...], spec: PreprocessSpec | None
) -> None:
    with pytest.raises(ValueError, match="mirror does not make pictures of pictures"):
        picture_model(TensorModel("mirror", MODEL.inputs, outputs, (), spec))
