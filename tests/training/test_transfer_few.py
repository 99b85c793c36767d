"""The measurement of what a base is worth: its table, its picture, and in little the whole of it."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from bundle import strict
from training.__main__ import app
from training.data import fashion
from training.transfer import few
from training.transfer.few import WAYS, Trial, Trials

ACCURACIES = dict(zip(WAYS, ([0.5, 0.7, 0.6], [0.5, 0.6, 0.65], [0.8, 0.65, 0.7]), strict=True))


def trials(*labels: int) -> list[Trial]:
    return [
        Trial(way=way, labels=count, seed=seed, accuracy=accuracy)
        for count in labels
        for way, accuracies in ACCURACIES.items()
        for seed, accuracy in enumerate(accuracies, 1)
    ]


def test_the_table_has_medians_ranges_and_how_often_the_base_won() -> None:
    (row,) = few.table(trials(10))
    assert row == [
        "10", "60.0% (50.0% to 70.0%)", "60.0% (50.0% to 65.0%)", "70.0% (65.0% to 80.0%)",
        "+10.0 points, better for 2 of 3 seeds",
    ]  # fmt: skip


def test_every_number_of_labels_has_a_row() -> None:
    assert [row[0] for row in few.table(trials(10, 20))] == ["10", "20"]


def test_the_trials_are_kept_with_table_and_picture(tmp_path: Path) -> None:
    few.write(tmp_path / "few", trials(10, 20))
    assert strict.read(tmp_path / "few" / "few.json", Trials).trials == trials(10, 20)
    assert "| 20 | 60.0%" in (tmp_path / "few" / "few.md").read_text()
    with Image.open(tmp_path / "few" / "few.png") as image:
        assert np.ptp(np.asarray(image.convert("L"))) > 100


def test_a_folder_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["few", "--base", "nowhere.keras", "--out", str(tmp_path)])
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "exists already" in result.stderr


@pytest.mark.slow
@pytest.mark.skipif(not fashion.DEBIAN_FOLDER.is_dir(), reason=f"apt-get install {fashion.DEBIAN_PACKAGE}")
def test_a_base_that_is_trained_here_beats_training_from_scratch(tmp_path: Path) -> None:
    base = ["run", "clothes-base", "--out", str(tmp_path / "base")]
    assert CliRunner().invoke(app, base).exit_code == 0
    file = str(tmp_path / "base" / "model.keras")
    result = CliRunner().invoke(
        app, ["few", "--base", file, "--labels", "10", "--seeds", "3", "--out", str(tmp_path / "few")]
    )
    assert result.exit_code == 0, result.stderr
    done = strict.read(tmp_path / "few" / "few.json", Trials).trials
    scratch, _, tuned = ([trial.accuracy for trial in done if trial.way == way] for way in WAYS)
    assert np.median(tuned) > np.median(scratch)
