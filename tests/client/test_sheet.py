"""The contact sheet shows each picture beside its evidence."""

from pathlib import Path

import numpy as np
import pytest

from client import sheet
from client.pictures import Picture
from client.report import Row
from client.results import Explanation, ImageResult, Prediction
from tests.client.fake import picture


def row(folder: Path, number: int, truth: str | None = None, overlays: int = 1) -> Row:
    original = picture(folder, f"{number}.png", "#ff0000", (40, 30))
    drawn = tuple(picture(folder, f"{number}.{n}.overlay.png", "#0000ff", (40, 30)) for n in range(overlays))
    result = ImageResult(
        predictions=(Prediction("red", 0, 0.9),),
        explanations=tuple(Explanation("red", 0, 0.9, "gradcam") for _ in drawn),
    )
    return Row(Picture(original.name, original), result, truth, drawn)


def share(page: np.ndarray, colour: tuple[int, int, int]) -> float:
    return float((page == colour).all(-1).sum()) / (sheet.SIDE * sheet.SIDE * 3 / 4)


@pytest.mark.parametrize(("pictures", "overlays"), [(1, 1), (1, 3), (7, 1), (5, 2)])
def test_every_picture_and_every_overlay_is_on_the_sheet(tmp_path: Path, pictures: int, overlays: int) -> None:
    rows = [row(tmp_path, number, overlays=overlays) for number in range(pictures)]
    page = np.asarray(sheet.draw(rows, "title", "subtitle"))
    assert share(page, (255, 0, 0)) == pytest.approx(pictures, rel=0.02)
    assert share(page, (0, 0, 255)) == pytest.approx(pictures * overlays, rel=0.02)


def test_no_more_than_the_first_pictures_are_drawn(tmp_path: Path) -> None:
    one = row(tmp_path, 0)
    page = np.asarray(sheet.draw([one] * (sheet.MOST + 20), "title", "subtitle"))
    assert share(page, (255, 0, 0)) == pytest.approx(sheet.MOST, rel=0.02)


def test_pictures_without_overlays_are_left_out(tmp_path: Path) -> None:
    failed = Row(Picture("x"), ImageResult())
    page = np.asarray(sheet.draw([failed, row(tmp_path, 0)], "title", "subtitle"))
    assert share(page, (255, 0, 0)) == pytest.approx(1, rel=0.02)


def test_right_and_wrong_answers_look_different(tmp_path: Path) -> None:
    right, wrong = (np.asarray(sheet.draw([row(tmp_path, 0, truth)], "", "")) for truth in ("red", "blue"))
    assert right.shape == wrong.shape
    assert (right != wrong).any()


def test_a_picture_that_has_vanished_leaves_its_place_empty(tmp_path: Path) -> None:
    gone = row(tmp_path, 0)
    assert gone.picture.path is not None
    gone.picture.path.unlink()
    page = np.asarray(sheet.draw([gone], "title", "subtitle"))
    assert share(page, (255, 0, 0)) == 0
    assert share(page, (0, 0, 255)) == pytest.approx(1, rel=0.02)


def test_long_names_do_not_leave_their_card(tmp_path: Path) -> None:
    short, long = row(tmp_path, 0), row(tmp_path, 0)
    result = ImageResult(
        predictions=(Prediction("a label of many words that goes on and on " * 3, 0, 0.9),),
        explanations=long.result.explanations,
    )
    long = Row(long.picture, result, None, long.overlays)
    page, plain = (sheet.draw([each], "t", "s") for each in (long, short))
    margin = slice(None), slice(plain.width - 30, None)
    np.testing.assert_array_equal(np.asarray(page)[margin], np.asarray(plain)[margin])
