"""The pointing game: who plays, what is a hit, and what it is compared with."""

from pathlib import Path

import numpy as np
import pytest

from bench import pictures
from bench.pointing import play, points_into
from client.results import Explanation
from tests.client.fake import picture, running


def explanation(*rows: list[float]) -> Explanation:
    return Explanation("thing", 0, 1.0, "gradcam", grid=np.array(rows, np.float32), box=(0.0, 0.0, 100.0, 100.0))


@pytest.mark.parametrize(
    ("box", "hit"),
    [((0, 50, 25, 100), True), ((12, 74, 13, 76), True), ((13, 50, 100, 100), False), ((0, 0, 100, 75), False)],
)
def test_the_peak_is_the_centre_of_the_strongest_cell(box: tuple[float, float, float, float], hit: bool) -> None:
    grid = explanation([0, 0.2, 0, 0], [1, 0.9, 0, 0])  # its peak lies at 12.5 across, 75 down
    assert points_into(grid, box) is hit


def test_a_grid_points_to_where_it_lies_in_the_picture() -> None:
    inner = Explanation("thing", 0, 1.0, "gradcam", grid=np.array([[1, 0]], np.float32), box=(40.0, 40.0, 60.0, 60.0))
    assert points_into(inner, (44, 49, 46, 51))


def test_a_map_without_evidence_misses() -> None:
    assert not points_into(explanation([0, 0], [0, 0]), (0, 0, 100, 100))


def test_only_pictures_with_a_box_and_the_right_answer_are_played(tmp_path: Path) -> None:
    rows = ["file,label,class_index,left,top,right,bottom"]
    for name, colour, label, box in (
        ("hit.png", "red", "red", "0,6,8,12"),  # the fake's peak is at an eighth across and three quarters down
        ("miss.png", "lime", "green", "6,4,16,8"),
        ("wrong.png", "blue", "red", "0,0,16,12"),
        ("no-box.png", "red", "red", ",,,"),
    ):
        picture(tmp_path, name, colour, (16, 12))
        rows.append(f"{name},{label},0,{box}")
    (tmp_path / pictures.TRUTH).write_text("\n".join(rows))
    with running() as (_, target):
        game = play(pictures.read(tmp_path), "colours", target)
    assert (game.boxes, game.played, game.hits, game.centre_hits) == (3, 2, 1, 1)
    assert game.chance == pytest.approx((48 + 40) / 2 / (16 * 12))


def test_a_set_without_boxes_cannot_be_played(tmp_path: Path) -> None:
    picture(tmp_path, "a.png", "red")
    (tmp_path / pictures.TRUTH).write_text("file,label\na.png,red\n")
    with running() as (_, target), pytest.raises(ValueError, match="found none of the 0 pictures"):
        play(pictures.read(tmp_path), "colours", target)


@pytest.mark.parametrize("content", ["", "file,label\n", "name,label\na,b\n"])
def test_a_truth_table_that_says_nothing_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / pictures.TRUTH).write_text(content)
    with pytest.raises(ValueError, match=r"truth\.csv: expected the columns"):
        pictures.read(tmp_path)
