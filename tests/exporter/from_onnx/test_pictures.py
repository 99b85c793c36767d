"""What the answers are compared on."""

from pathlib import Path

import numpy as np
from PIL import Image

from bundle import files
from bundle.preprocess import PreprocessSpec
from exporter.from_onnx import pictures
from tests.exporter.from_onnx.models import SOFTMAX, bring, bundle, model

SPEC = PreprocessSpec(
    height=24, width=32, colour="rgb", fit="cover", crop=1.0, resampling="bilinear", background=(0, 0, 0)
)


def photographs(folder: Path, count: int) -> Path:
    """A folder with `count` pictures and one text."""
    folder.mkdir()
    for number in range(count):
        Image.new("RGB", (20, 10), (number, 0, 0)).save(folder / f"{number}.png")
    (folder / "notes.txt").write_text("no picture")
    return folder


def test_pictures_of_a_folder_are_compared_and_others_told(tmp_path: Path) -> None:
    answer = bring(tmp_path, model(SOFTMAX), "--pictures", str(photographs(tmp_path / "photographs", 3)))

    assert answer.exit_code == 0, answer.output
    assert "left out notes.txt: not a picture that can be read" in answer.stderr
    assert files.verify_classifier(bundle(tmp_path)).provenance.details["pictures"] == "3 of photographs"


def test_no_more_pictures_are_read_than_asked_for(tmp_path: Path) -> None:
    pixels, skipped = pictures.decoded(photographs(tmp_path / "photographs", 3), SPEC, limit=2)

    assert pixels.shape == (2, 24, 32, 3)
    assert skipped == []


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    answer = bring(tmp_path, model(SOFTMAX), "--pictures", str(photographs(tmp_path / "photographs", 0)))

    assert answer.exit_code == 1
    assert "photographs: holds no picture that can be read; notes.txt: not a picture" in answer.stderr


def test_generated_pictures_are_always_the_same_and_use_the_whole_range() -> None:
    pixels = pictures.generated(SPEC, limit=64)

    np.testing.assert_array_equal(pixels, pictures.generated(SPEC, limit=64))
    assert pixels.shape == (16, 24, 32, 3)
    assert pixels.min() == 0
    assert pixels.max() == 255
    assert all(picture.std() > 30 for picture in pixels)
    assert len(pictures.generated(SPEC, limit=2)) == 2
