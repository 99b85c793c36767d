"""Pictures with several labels or none: the table, the figures, and a bundle that is served as it was trained."""

from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import exporter.__main__
from bench.server_process import serving
from bundle import run as runs
from bundle.samples import UNKNOWN
from client import Client, Explain
from training import gallery, plots
from training.__main__ import app
from training.answers import Answers
from training.data import multilabel
from training.errors import DataError

SMALL = ["preprocess.height=16", "preprocess.width=16", "network.blocks=[{filters=4, kernel=3, pool=4, dropout=0.0}]"]


def pictures(folder: Path, count: int) -> Path:
    """Red in every second picture, blue in every third; none in some."""
    folder.mkdir(parents=True)
    for number in range(count):
        colour = (255 * (number % 2), number, 255 * (number % 3 == 0))
        Image.new("RGB", (16, 16), colour).save(folder / f"{number}.png")
    return folder


def listed(folder: Path, count: int = 6) -> Path:
    rows = [";".join(["red"] * (number % 2) + ["blue"] * (number % 3 == 0)) for number in range(count)]
    (pictures(folder, count) / "labels.csv").write_text(
        "file,labels\n" + "".join(f"{number}.png,{row}\n" for number, row in enumerate(rows))
    )
    return folder


def columns(folder: Path, count: int = 6) -> Path:
    (pictures(folder, count) / "labels.csv").write_text(
        "file,red,blue\n" + "".join(f"{number}.png,{number % 2},{int(number % 3 == 0)}\n" for number in range(count))
    )
    return folder


def test_both_forms_of_the_table_say_the_same(tmp_path: Path) -> None:
    one = multilabel.read(listed(tmp_path / "one") / "labels.csv", ["red", "blue"])
    other = multilabel.read(columns(tmp_path / "other") / "labels.csv", ["red", "blue"])
    np.testing.assert_array_equal(one.labels, [[0, 1], [1, 0], [0, 0], [1, 1], [0, 0], [1, 0]])
    np.testing.assert_array_equal(one.labels, other.labels)
    assert [path.name for path in one.paths] == [f"{number}.png" for number in range(6)]


def test_the_labels_are_found_in_the_table(tmp_path: Path) -> None:
    assert multilabel.labels_of(listed(tmp_path / "one") / "labels.csv") == ["blue", "red"]
    assert multilabel.labels_of(columns(tmp_path / "other") / "labels.csv") == ["red", "blue"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "line 1: the columns must be file,labels, or file and one for each label"),
        ("name,labels\n", "line 1: the columns must be"),
        ("file,red,red\n", "line 1: the columns must be"),
        ("file,red,green\n", "has columns for ['red', 'green'], data.labels asks for ['red', 'blue']"),
        ("file,labels\n0.png,red\n9.png,red\n", "line 3: there is no file"),
        ("file,labels\n0.png,rde\n", "line 2: data.labels has no 'rde'; it has red, blue"),
        ("file,labels\n0.png,red\n\n0.png,red\n", "line 4: 0.png is in the table twice"),
        ("file,red,blue\n0.png,1\n", "line 2: has 2 columns, the first line has 3"),
        ("file,red,blue\n0.png,1,yes\n", "line 2: column blue: 'yes' is neither 0 nor 1"),
    ],
)
def test_a_table_is_refused_with_the_line_and_the_reason(text: str, reason: str, tmp_path: Path) -> None:
    (pictures(tmp_path / "data", 2) / "labels.csv").write_text(text)
    with pytest.raises(DataError) as caught:
        multilabel.read(tmp_path / "data" / "labels.csv", ["red", "blue"])
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_table_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"labels\.csv: cannot be read: No such file"):
        multilabel.read(tmp_path / "labels.csv", ["red", "blue"])


def answers() -> Answers:
    return Answers(
        pixels=np.zeros((3, 8, 8, 3), np.uint8),
        labels=np.array([[1, 0], [1, 1], [0, 0]]),
        probabilities=np.array([[0.9, 0.2], [0.8, 0.4], [0.1, 0.3]], np.float32),
    )


def test_each_label_is_right_or_wrong_by_itself() -> None:
    given = answers()
    np.testing.assert_array_equal(given.predicted, [[1, 0], [1, 0], [0, 0]])
    np.testing.assert_array_equal(given.right, [True, False, True])
    assert given.metrics.accuracy == pytest.approx(5 / 6)
    assert given.metrics.loss == pytest.approx(-np.log([0.9, 0.8, 0.8, 0.4, 0.9, 0.7]).mean(), rel=1e-5)


def test_pictures_of_a_run_can_be_drawn(tmp_path: Path) -> None:
    gallery.draw(tmp_path / "answers.png", "multilabel", ["red", "blue"], answers())
    plots.labels_found(tmp_path / "labels.png", ["red", "blue"], answers())
    for name in ("answers.png", "labels.png"):
        with Image.open(tmp_path / name) as image:
            assert np.ptp(np.asarray(image.convert("L"))) > 100


def test_labels_that_do_not_exclude_each_other_are_served_as_they_were_trained(tmp_path: Path) -> None:
    data, out = listed(tmp_path / "data", 48), tmp_path / "run"
    words = [*SMALL, "network.head.dense=[8]", "training.epochs=2", "class_weights=balanced", "augmentation=[]"]
    settings = [word for change in words for word in ("--set", change)]
    result = CliRunner().invoke(app, ["run", "cats-and-dogs", "--data", str(data), "--out", str(out), *settings])
    assert result.exit_code == 0, result.stderr
    trained = runs.read(out)
    assert (trained.kind, trained.labels) == ("multilabel", ["blue", "red"])
    assert (out / "labels.png").is_file()

    pixels, labels = runs.read_samples(out)
    assert set(labels.tolist()) == {UNKNOWN}
    result = CliRunner().invoke(
        exporter.__main__.app, ["keras", str(out), "--out", str(tmp_path / "models" / "colours" / "1")]
    )
    assert result.exit_code == 0, result.stderr
    expected = keras.models.load_model(out / runs.KERAS_MODEL).predict(pixels[:2], verbose=0)
    with serving(tmp_path / "models") as server, Client(server.grpc, timeout=60) as client:
        served = client.classify([*pixels[:2]], "colours", top_k=2, explain=Explain())
    for answer, probabilities in zip(served.results, expected, strict=True):
        found = {each.label: each.probability for each in answer.predictions}
        np.testing.assert_allclose([found[label] for label in trained.labels], probabilities, atol=1e-4)
        assert answer.explanations
