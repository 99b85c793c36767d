"""The gallery can be drawn whatever there is to show."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bundle.manifest import Kind
from training import gallery
from training.answers import Answers


def answers(labels: list[int], predicted: list[int], classes: int) -> Answers:
    return Answers(
        pixels=np.zeros((len(labels), 8, 16, 3), np.uint8),
        labels=np.array(labels),
        probabilities=np.eye(classes, dtype=np.float32)[predicted],
    )


@pytest.mark.parametrize(
    ("kind", "labels", "predicted"),
    [
        ("binary", [0, 1, 1, 0], [0, 1, 0, 1]),
        ("binary", [0, 0, 0, 0], [0, 0, 0, 0]),
        ("multiclass", [0, 1, 2], [0, 1, 2]),
        ("multiclass", [0, 1, 2], [2, 2, 0]),
    ],
)
def test_a_gallery_needs_no_picture_of_every_sort(
    kind: Kind, labels: list[int], predicted: list[int], tmp_path: Path
) -> None:
    names = ["none", "some", "many"][: 2 if kind == "binary" else 3]
    gallery.draw(tmp_path / "answers.png", kind, names, answers(labels, predicted, len(names)))
    with Image.open(tmp_path / "answers.png") as image:
        assert image.width == 1560
        assert np.ptp(np.asarray(image.convert("L"))) > 100
