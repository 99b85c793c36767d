"""`python -m training` as a person uses it: what it writes, what it refuses, and Ctrl-C."""

import csv
import os
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from bundle import run as runs
from training import fit, recipe
from training.__main__ import app
from training.recipe import of_pictures

SMALL = ["--set", "network.blocks=[{filters=4, kernel=5, pool=3, dropout=0.0}]", "--set", "training.batch_size=256"]


def training(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "small"
    status, output, _ = training("run", "digits", "--out", str(folder), "--epochs", "2", "--seed", "7", *SMALL)
    assert status == 0
    assert "test accuracy" in output
    return folder


def test_a_run_leaves_a_whole_run_folder(run_folder: Path) -> None:
    assert {file.name for file in run_folder.iterdir()} == {
        "model.keras", "run.json", "samples.npz", "history.csv",
        "learning_curves.png", "confusion_matrix.png", "network.png", "answers.png", "report.html",
    }  # fmt: skip
    for picture in run_folder.glob("*.png"):
        with Image.open(picture) as image:
            assert min(image.size) > 300


def test_run_json_says_what_was_trained_on_what(run_folder: Path) -> None:
    run = runs.read(run_folder)
    assert (run.name, run.recipe, run.kind, run.labels) == ("small", "digits", "multiclass", list("0123456789"))
    assert (run.seed, run.epochs, run.interrupted) == (7, 2, False)
    assert run.settings == recipe.settings(
        recipe.load("digits", ["training.epochs=2", "training.seed=7", SMALL[1], SMALL[3]])
    )
    assert sum(run.dataset.class_counts["train"].values()) == 1257
    assert set(run.metrics) == {"train", "validation", "test"}
    assert set(run.libraries) == {"python", "keras", "tensorflow", "numpy", "pillow"}


def test_the_stored_model_gives_the_stored_figures(run_folder: Path) -> None:
    run, (pixels, labels) = runs.read(run_folder), runs.read_samples(run_folder)
    model = keras.models.load_model(run_folder / runs.KERAS_MODEL)
    assert model.count_params() == run.parameters
    assert pixels.shape == (360, 28, 28, 1)
    right = fit.probabilities(model, pixels).argmax(axis=1) == labels
    assert right.mean() == pytest.approx(run.metrics["test"].accuracy)


def test_the_history_has_a_row_for_each_epoch(run_folder: Path) -> None:
    with (run_folder / runs.HISTORY).open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert float(rows[1]["val_loss"]) == pytest.approx(runs.read(run_folder).metrics["validation"].loss, rel=1e-4)


def test_a_run_never_overwrites_another(run_folder: Path) -> None:
    before = runs.read(run_folder)
    status, _, error = training("run", "digits", "--out", str(run_folder))
    assert (status, error.count("\n")) == (2, 1)
    assert "exists already" in error
    assert runs.read(run_folder) == before


def test_a_wrong_key_ends_with_one_line_and_status_2(tmp_path: Path) -> None:
    status, _, error = training("run", "digits", "--out", str(tmp_path / "run"), "--set", "training.sed=3")
    assert (status, error) == (2, "error: training.sed: there is no key 'sed'; did you mean seed?\n")
    assert not list(tmp_path.iterdir())


def test_list_shows_the_recipes_with_their_sizes() -> None:
    status, table, _ = training("list")
    assert status == 0
    for word in ("digits", "fashion", "sprites", "93,322", "69,405", "28x28x1", "90x160x3", "validation accuracy 0.63"):
        assert word in table


def test_pictures_are_the_original_scans_with_their_truth(tmp_path: Path) -> None:
    status, output, _ = training("pictures", "digits", "--out", str(tmp_path / "digits"))
    assert (status, "360 test pictures" in output) == (0, True)
    with (tmp_path / "digits" / "truth.csv").open() as file:
        rows = list(csv.DictReader(file))
    split = of_pictures("digits", []).data.load().splits["test"]
    assert len(rows) == len(split.labels) == len(list((tmp_path / "digits").glob("*.png")))
    for index, row in enumerate(rows):
        assert row == {
            "file": f"{index:05}-{split.labels[index]}.png",
            "label": row["class_index"],
            "class_index": str(split.labels[index]),
        }
    with Image.open(tmp_path / "digits" / rows[5]["file"]) as image:
        np.testing.assert_array_equal(np.asarray(image), np.asarray(split.pictures[5]))


def test_a_sample_of_sprites_is_even_and_tells_where_the_hero_is(tmp_path: Path) -> None:
    status, _, _ = training(
        "pictures", "sprites", "--out", str(tmp_path / "sprites"), "--split", "validation", "--count", "6"
    )
    assert status == 0
    with (tmp_path / "sprites" / "truth.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert sorted(row["label"] for row in rows) == ["hero"] * 3 + ["no hero"] * 3
    split = of_pictures("sprites", []).data.load().splits["validation"]
    assert split.box is not None
    for row in rows:
        edges = [row[edge] for edge in ("left", "top", "right", "bottom")]
        box = split.box(int(row["file"][:5]))
        assert edges == ([str(edge) for edge in box] if box else [""] * 4)


def interrupted(folder: Path, line: str, times: int = 1) -> tuple[int, str]:
    """Runs training in a process of its own and sends Ctrl-C as soon as it has printed a line with `line` in it, and again when it has heard that."""
    command = [sys.executable, "-m", "training", "run", "digits", "--out", str(folder)]
    patient = ["--epochs", "500", "--set", "training.patience=500"]
    process = subprocess.Popen(
        [*command, *patient],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    with process:
        assert process.stderr is not None
        seen = ""
        while line not in seen:
            fresh = process.stderr.readline()
            assert fresh, f"the program ended without {line!r}: {seen}"
            seen += fresh
        for _ in range(times):
            process.send_signal(signal.SIGINT)
            while times > 1 and "press it again" not in seen:
                seen += process.stderr.readline()
        seen += process.stderr.read()
    return process.returncode, seen


def test_ctrl_c_keeps_the_best_epoch_so_far_and_says_so(tmp_path: Path) -> None:
    status, said = interrupted(tmp_path / "run", "epoch   1/500")
    assert (status, "stopped by Ctrl-C: this is epoch" in said) == (0, True), said
    run = runs.read(tmp_path / "run")
    assert run.interrupted
    assert 1 <= run.best_epoch <= run.epochs < 500
    assert len(list((tmp_path / "run").iterdir())) == 9


def test_ctrl_c_in_the_first_epoch_writes_nothing_and_says_so(tmp_path: Path) -> None:
    status, said = interrupted(tmp_path / "run", "pictures to learn from")
    assert (status, said.splitlines()[-1]) == (130, "stopped: nothing was written"), said
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_second_ctrl_c_ends_at_once_and_says_that_the_run_can_go_on(tmp_path: Path) -> None:
    status, said = interrupted(tmp_path / "run", "epoch   1/500", times=2)
    assert (status, said.splitlines()[-1]) == (130, "stopped: the same command goes on after the last whole epoch"), (
        said
    )
    assert [each.name for each in tmp_path.iterdir()] == [".run.unfinished"]
