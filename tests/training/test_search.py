"""A search can be stopped and gone on with, and a run can start from what it found."""

import json
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from bundle import run as runs
from training.__main__ import app
from training.errors import DataError, RecipeError
from training.search import trials
from training.search.trials import Search, Space, Trial

SMALL = [
    "--set", "network.blocks=[{filters=2, kernel=5, pool=4, dropout=0.0}]", "--set", "training.batch_size=512",
    "--set", "data.validation=300", "--set", "data.test=1000",
    "--inner", "4", "--inner", "8", "--dropout", "0", "--dropout", "0.5", "--epochs", "2",
]  # fmt: skip
SEARCH = Search(
    recipe="digits",
    changes=["training.epochs=2"],
    seed=1,
    space=Space(rate_from=1e-4, rate_to=1e-1, inner=[4], dropout=[0.0]),
)


def training(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, arguments)
    return result.exit_code, result.stdout, result.stderr


def trial(number: int, loss: float | None) -> Trial:
    return Trial(
        number=number, learning_rate=0.001 * (number + 1), inner=10, dropout=0.25, val_loss=loss,
        val_accuracy=loss, best_epoch=None if loss is None else 1, curve=[0.5],
    )  # fmt: skip


def test_a_search_goes_on_where_it_stopped(tmp_path: Path) -> None:
    folder = tmp_path / "search"
    status, _, error = training("search", "digits", "--out", str(folder), "--trials", "1", *SMALL)
    assert status == 0, error
    (first,) = trials.read(folder)
    status, _, error = training("search", "digits", "--out", str(folder), "--trials", "2", *SMALL)
    assert status == 0, error
    done = trials.read(folder)
    assert [each.number for each in done] == [0, 1]
    assert done[0] == first
    assert done[1].learning_rate != first.learning_rate
    assert all(1e-4 <= each.learning_rate <= 1e-1 and each.inner in (4, 8) for each in done)
    assert len((folder / "trials.md").read_text().splitlines()) == 2 + 2
    with Image.open(folder / "trials.png") as picture:
        assert min(picture.size) > 300


@pytest.mark.slow
def test_a_run_starts_from_the_best_of_a_search(tmp_path: Path) -> None:
    folder, out = tmp_path / "search", tmp_path / "run"
    status, _, error = training("search", "digits", "--out", str(folder), "--trials", "3", *SMALL)
    assert status == 0, error
    status, _, error = training("run", "digits", "--out", str(out), "--from-search", str(folder), "--epochs", "1")
    assert status == 0, error
    best = min(trials.read(folder), key=lambda each: each.rank)
    settings = json.loads(json.dumps(runs.read(out).settings))
    assert settings["training"]["learning_rate"] == best.learning_rate
    assert settings["network"]["head"] == {
        "vector": "average", "vector_dropout": 0.0, "dense": [best.inner], "dense_dropout": best.dropout,
    }  # fmt: skip
    assert settings["training"]["epochs"] == 1


def test_the_best_trial_has_the_lowest_validation_loss_and_is_none_that_diverged(tmp_path: Path) -> None:
    trials.begin(tmp_path / "search", SEARCH)
    for number, loss in enumerate([0.5, None, 0.25, 0.75]):
        trials.keep(tmp_path / "search", trial(number, loss))
    assert trials.best(tmp_path / "search", "digits") == [
        "training.epochs=2", "training.learning_rate=0.003", "network.head.dense=[10]", "network.head.dense_dropout=0.25",
    ]  # fmt: skip


def test_a_search_without_a_complete_trial_has_no_best(tmp_path: Path) -> None:
    trials.begin(tmp_path / "search", SEARCH)
    trials.keep(tmp_path / "search", trial(0, None))
    with pytest.raises(DataError, match="no trial of this search is complete"):
        trials.best(tmp_path / "search", "digits")


def test_a_search_of_another_recipe_is_no_start(tmp_path: Path) -> None:
    trials.begin(tmp_path / "search", SEARCH)
    with pytest.raises(RecipeError, match="is a search for digits, not for fashion"):
        trials.best(tmp_path / "search", "fashion")


def test_another_search_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    trials.begin(tmp_path / "search", SEARCH)
    status, _, error = training("search", "digits", "--out", str(tmp_path / "search"), "--epochs", "3")
    assert (status, error.count("\n")) == (2, 1)
    assert "is another search" in error


def test_a_folder_of_something_else_is_no_search(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    status, _, error = training("search", "digits", "--out", str(tmp_path))
    assert status == 2
    assert "exists already and is no search" in error


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (["--rate-from", "1", "--rate-to", "0.1"], "give two positive rates, the lower one first"),
        (["--rate-from", "0"], "give two positive rates, the lower one first"),
        (["--inner", "0"], "'--inner'"),
        (["--dropout", "1"], "'--dropout'"),
        (["--set", "training.epoch=1"], "did you mean epochs?"),
    ],
)
def test_a_search_that_makes_no_sense_is_refused_before_anything_is_written(
    wrong: list[str], reason: str, tmp_path: Path
) -> None:
    status, _, error = training("search", "digits", "--out", str(tmp_path / "search"), *wrong)
    assert status == 2
    assert reason in error
    assert not (tmp_path / "search").exists()
