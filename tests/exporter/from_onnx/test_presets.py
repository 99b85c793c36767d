"""The arithmetic between pixels and network: presets, TOML files, and what is wrong with them."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bundle import files
from tests.exporter.from_onnx.models import SOFTMAX, bring, bundle, given, model, pictures, predicted

TOML = """
colour = "bgr"
fit = "stretch"
crop = 1.0
resampling = "bicubic"
background = [1, 2, 3]
scale = 0.5
mean = [1, 2.5, 3]
deviation = [4, 5.0, 6]
"""

# Written out here once more, as the papers and tools have it.
EXPECTED = {
    "imagenet-torch": lambda x: (x / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225],
    "imagenet-caffe": lambda x: x[..., ::-1] - [103.939, 116.779, 123.68],
    "imagenet-tf": lambda x: x / 127.5 - 1,
    "unit": lambda x: x / 255,
    "none": lambda x: x,
    TOML: lambda x: (x[..., ::-1] * 0.5 - [1, 2.5, 3]) / [4, 5, 6],
}


def scores(folder: Path, inputs: NDArray[np.float64]) -> NDArray[np.float32]:
    """What the file answers to numbers [N, H, W, C]."""
    return given(folder, np.ascontiguousarray(inputs.transpose(0, 3, 1, 2), np.float32))


@pytest.mark.parametrize("name", EXPECTED)
def test_the_graph_does_the_arithmetic(name: str, tmp_path: Path) -> None:
    if name == TOML:
        (tmp_path / "own.toml").write_text(TOML)
    # Less steep than what images of 0..255 would make of random weights.
    body = SOFTMAX.replace("y = Softmax(z)", "t = Tanh(z) y = Softmax(t)")

    answer = bring(tmp_path, model(body), preprocess=str(tmp_path / "own.toml") if name == TOML else name)

    assert answer.exit_code == 0, answer.output
    pixels = pictures(5, 8, 8, 3)
    np.testing.assert_allclose(predicted(tmp_path, pixels), scores(tmp_path, EXPECTED[name](pixels)), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "crop"),
    [("imagenet-torch", 0.875), ("imagenet-caffe", 0.875), ("imagenet-tf", 0.875), ("unit", 1.0), ("none", 1.0)],
)
def test_presets_of_imagenet_see_what_its_evaluation_sees(name: str, crop: float, tmp_path: Path) -> None:
    assert bring(tmp_path, model(SOFTMAX), preprocess=name).exit_code == 0

    spec = files.verify_classifier(bundle(tmp_path)).preprocess
    assert (spec.height, spec.width, spec.colour, spec.fit, spec.crop, spec.resampling) == (
        8,
        8,
        "rgb",
        "cover",
        crop,
        "bilinear",
    )


def test_a_file_says_how_pictures_are_brought_to_size(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(TOML)

    assert bring(tmp_path, model(SOFTMAX), preprocess=str(tmp_path / "own.toml")).exit_code == 0

    spec = files.verify_classifier(bundle(tmp_path)).preprocess
    assert (spec.fit, spec.resampling, spec.background, spec.colour) == ("stretch", "bicubic", (1, 2, 3), "rgb")


def test_an_unknown_preset_is_refused_with_those_there_are(tmp_path: Path) -> None:
    answer = bring(tmp_path, model(SOFTMAX), preprocess="imagenet-pytorch")

    assert answer.exit_code == 1
    assert (
        "no such file, nor such a preset; the presets are imagenet-torch, imagenet-caffe, imagenet-tf, unit, none"
        in answer.stderr
    )


@pytest.mark.parametrize(
    ("line", "instead", "told"),
    [
        ("scale = 0.5\n", "", "missing required field `scale`"),
        ('fit = "stretch"\n', "", "missing required field `fit`"),
        ("crop = 1.0", "crop = 1.0\nzoom = 2", "unknown field `zoom`"),
        ('fit = "stretch"', 'fit = "squeeze"', "Invalid enum value 'squeeze'"),
        ("crop = 1.0", "crop = 1.0\nheight = 8", "`height` and `width` are those of the model"),
        ('colour = "bgr"', 'colour = "grey"', "`colour` is grey, but the model takes 3 channels"),
        ("mean = [1, 2.5, 3]", "mean = [1]", "`mean` has 1 numbers for 3 channels"),
        ("deviation = [4, 5.0, 6]", "deviation = [4, 0, 6]", "deviation"),
        ("scale = 0.5", "scale = ", "not valid TOML"),
    ],
)
def test_a_file_that_is_not_exactly_right_is_refused_by_key(line: str, instead: str, told: str, tmp_path: Path) -> None:
    assert line in TOML
    (tmp_path / "own.toml").write_text(TOML.replace(line, instead))

    answer = bring(tmp_path, model(SOFTMAX), preprocess=str(tmp_path / "own.toml"))

    assert answer.exit_code == 1
    assert "own.toml" in answer.stderr
    assert told in answer.stderr


def test_a_preset_for_colour_is_refused_for_grey_pictures(tmp_path: Path) -> None:
    grey = model(SOFTMAX.replace("k3", "k1"), takes="float[N,1,8,8] x")

    answer = bring(tmp_path, grey, preprocess="imagenet-torch")

    assert answer.exit_code == 1
    assert "is for colour pictures and the model takes grey ones; choose unit, none or imagenet-tf" in answer.stderr
