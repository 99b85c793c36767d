"""Heatmaps as pictures: the right place, the right colours."""

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from bundle.preprocess import View
from server.serving import render
from server.serving.jobs import Grid, HeatmapFormat

DARK, BRIGHT = (0x44, 0x01, 0x54), (0xFD, 0xE7, 0x25)  # the ends of viridis


def drawn(heat: NDArray[np.float32], view: View, picture: Image.Image, form: HeatmapFormat) -> NDArray[np.uint8]:
    """A heatmap over all that the model saw."""
    with Image.open(io.BytesIO(render.png(Grid(heat, view.box), view, picture, form))) as image:
        return np.asarray(image)


def whole(width: int, height: int) -> View:
    return View((width, height), (0.0, 0.0, float(width), float(height)))


def hot_corner() -> NDArray[np.float32]:
    heat = np.zeros((4, 4), np.float32)
    heat[0, 0] = 1
    return heat


def test_no_evidence_leaves_the_picture_as_it_is() -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8))
    overlay = drawn(np.zeros((4, 4), np.float32), whole(320, 240), picture, HeatmapFormat.OVERLAY_PNG)
    assert np.array_equal(overlay, np.asarray(picture))


def test_the_strongest_evidence_changes_the_picture_where_it_is_and_not_elsewhere() -> None:
    picture = Image.new("RGB", (320, 240), (10, 20, 30))
    overlay = drawn(hot_corner(), whole(320, 240), picture, HeatmapFormat.OVERLAY_PNG)
    assert tuple(overlay[0, 0]) != (10, 20, 30)
    assert tuple(overlay[-1, -1]) == (10, 20, 30)


def test_a_heatmap_alone_runs_from_the_dark_to_the_bright_end_of_viridis() -> None:
    heat = np.repeat(np.array([[0, 0, 1, 1]], np.float32), 4, axis=0)
    picture = drawn(heat, whole(320, 240), Image.new("RGB", (320, 240)), HeatmapFormat.HEATMAP_PNG)
    assert tuple(picture[120, 0]) == DARK
    assert tuple(picture[120, -1]) == BRIGHT


def test_a_map_of_the_cropped_centre_is_drawn_over_the_centre_only() -> None:
    view = View((400, 200), (100.0, 0.0, 300.0, 200.0))
    picture = drawn(np.ones((4, 4), np.float32), view, Image.new("RGB", (400, 200)), HeatmapFormat.HEATMAP_PNG)
    hot = (picture == BRIGHT).all(axis=-1)
    assert hot[:, 100:300].all()
    assert not hot[:, :100].any()
    assert not hot[:, 300:].any()


def test_the_bars_of_a_letterbox_are_not_drawn() -> None:
    view = View((400, 200), (0.0, -100.0, 400.0, 300.0))  # the model saw bars above and below
    heat = np.zeros((4, 4), np.float32)
    heat[0] = 1  # evidence in the upper bar only
    picture = drawn(heat, view, Image.new("RGB", (400, 200)), HeatmapFormat.HEATMAP_PNG)
    assert tuple(picture[-1, 200]) == DARK
    assert not (picture == BRIGHT).all(axis=-1).any()


def test_a_grid_that_covers_an_inner_part_is_drawn_there_and_fades_to_the_edge() -> None:
    heat = np.array([[1, 0, 0], [0, 0, 0], [0, 0, 0]], np.float32)
    spread = render.spread(Grid(heat, (40.0, 40.0, 100.0, 100.0)), whole(140, 140), (140, 140))
    row, column = np.unravel_index(spread.argmax(), spread.shape)
    assert 40 <= row <= 50
    assert 40 <= column <= 50
    assert spread[49, 49] == pytest.approx(1, abs=0.01)
    assert spread[0, 0] == pytest.approx(0, abs=0.01)
    assert 0.4 < spread[20, 49] < 0.6
    assert spread[90, 90] == pytest.approx(0, abs=0.01)


def test_a_heatmap_is_exact_at_the_centres_of_its_cells() -> None:
    heat = np.random.default_rng(0).random((3, 5), np.float32)
    spread = render.spread(Grid(heat, (0.0, 0.0, 45.0, 27.0)), whole(45, 27), (45, 27))
    assert spread[4::9, 4::9] == pytest.approx(heat, abs=1e-6)


@pytest.mark.parametrize(
    ("size", "drawn_size"),
    [((28, 28), (224, 224)), ((8, 8), (224, 224)), ((160, 90), (320, 180)), ((640, 480), (640, 480))],
)
def test_small_pictures_are_enlarged_by_a_whole_factor(size: tuple[int, int], drawn_size: tuple[int, int]) -> None:
    assert render.canvas(Image.new("L", size)).size == drawn_size
