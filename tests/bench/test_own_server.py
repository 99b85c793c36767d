"""Measurements of our own server: each measures what it says, and a wrong answer ends it."""

from pathlib import Path

import pytest
from PIL import Image

from bench import concurrency, explain_load, jpeg, latency, loadgen, protocols, questions
from bench.loadgen import Calls
from bench.local_engine import Setting
from bench.subject import served
from server.config import EngineName
from tests.bundles import make_bundle

ONNX_RUNTIME = Setting(EngineName.ONNXRUNTIME)

pytestmark = pytest.mark.skipif(not loadgen.GENERATOR.exists(), reason="compile it with `make build/loadgen`")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("models") / "shapes/1")


def test_every_number_of_clients_has_a_row_and_the_plot_shows_them(bundle: Path, tmp_path: Path) -> None:
    measured = concurrency.measure(bundle, 1, 0.1, ONNX_RUNTIME, clients=(1, 4))
    plot = concurrency.draw(measured, tmp_path / "results")
    table = concurrency.results(measured, plot)
    assert [row[0] for row in table.rows] == ["1", "4"]
    assert [len(level.rounds) for level in measured.levels] == [1, 1]
    for each in (each for level in measured.levels for each in level.rounds):
        assert each.reading.mean_batch >= 1
        assert each.reading.cpu > 0
        assert each.engine_cpu > 0
    assert table.plot == "concurrency-shapes.png"
    with Image.open(plot) as drawn:
        assert drawn.format == "PNG"
    assert any(note.startswith("One client alone") for note in table.notes)


def test_explained_load_is_compared_with_plain_load_round_by_round(bundle: Path) -> None:
    measured = explain_load.measure(bundle, 1, 0.1, ONNX_RUNTIME)
    (plain,), (explained,) = measured.plain, measured.explained
    assert measured.ratio == explained.load.rate / plain.load.rate
    assert [row[2] for row in explain_load.results([measured]).rows] == ["", f"{measured.ratio:.2f}"]


def test_pictures_of_every_size_stand_beside_decoding_and_engine_and_plain_pillow(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jpeg, "SIZES", ((40, 30), (400, 300)))
    (table, waiting), decoding = jpeg.measure(bundle, 1, 0.1, ONNX_RUNTIME)
    assert [row[0] for row in table.rows] == ["40 x 30", "400 x 300"]
    assert f"{decoding:.2f}" == table.rows[-1][-1]
    assert [row[0] for row in waiting.rows] == ["nothing", "uploads of 40 x 30", "uploads of 400 x 300"]


def test_every_protocol_and_every_way_to_ask_alone_is_measured(bundle: Path) -> None:
    assert len(protocols.measure(bundle, 1, 0.1).rows) == 4
    engine, *others = latency.measure(bundle, 0.2, ONNX_RUNTIME).rows
    assert engine[-1] == ""
    assert len(others) == 4
    assert all(row[-1][0] in "+-" for row in others)


def test_load_ends_with_the_first_wrong_answer_told(bundle: Path) -> None:
    with served(bundle, ONNX_RUNTIME) as subject:
        right = questions.raw(subject.name, subject.pixels, subject.engine)
        swapped = Calls(right.bodies[::-1], judge=right.judge)
        with pytest.raises(RuntimeError, match="probabilities differ by"):
            subject.under(swapped, 2, 0.1)
