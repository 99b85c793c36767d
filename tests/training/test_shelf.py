"""The shelf's figures come from run folders, and the documentation has the table that the program prints."""

from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from bundle import run as runs
from bundle.errors import BundleError
from training import measured, recipe, shelf
from training.__main__ import app
from training.errors import DataError

DOCUMENT = Path(__file__).parents[2] / "docs" / "training.md"
RUN = {
    "schema": "seethrough.run/1", "name": "one", "recipe": "sprites-dense", "kind": "binary", "parameters": 4_320_201, "epochs": 3,
    "best_epoch": 2, "interrupted": False, "started": "2026-01-01T00:00:00+00:00", "seconds": 12.5, "libraries": {"keras": "3"},
    "dataset": {"name": "sprites", "fingerprint": "", "class_counts": {}}, "labels": ["no hero", "hero"],
    "metrics": {split: {"loss": 0.7, "accuracy": 0.6} for split in ("train", "validation", "test")},
}  # fmt: skip


def run_folder(folder: Path, *changes: str, **keys: object) -> Path:
    """A run folder with what a table needs of one."""
    name = str(keys.get("recipe", RUN["recipe"]))
    settings = recipe.settings(recipe.load(name, list(changes)))
    folder.mkdir(parents=True)
    (folder / runs.RUN).write_bytes(msgspec.json.encode({**RUN, "settings": settings, **keys}))
    (folder / runs.HISTORY).write_text(
        "epoch,loss,accuracy,val_loss,val_accuracy,seconds\n1,0.8,0.5,0.8,0.5,1\n2,0.7,0.6,0.7,0.6,1\n3,0.6,0.7,0.8,0.55,1\n"
    )
    return folder


def test_the_documentation_has_the_table_that_the_program_prints() -> None:
    assert shelf.markdown() in DOCUMENT.read_text()


def test_no_recorded_figure_is_of_an_older_form_of_its_recipe() -> None:
    for name, figures in measured.read().items():
        chosen = recipe.load(name, [])
        assert measured.current(figures.settings, recipe.settings(chosen)), name
        assert figures.parameters == chosen.build().count_params(), name


def test_a_run_of_a_shipped_recipe_is_recorded_with_its_figures(tmp_path: Path) -> None:
    table = tmp_path / "measured.json"
    name, figures = measured.record(run_folder(tmp_path / "run"), table)
    assert name == "sprites-dense"
    assert figures.metrics["validation"] == {"loss": 0.7, "accuracy": 0.6}
    assert measured.read(table) == {name: figures}


def test_recording_another_recipe_keeps_the_first(tmp_path: Path) -> None:
    table = tmp_path / "measured.json"
    measured.record(run_folder(tmp_path / "one"), table)
    measured.record(run_folder(tmp_path / "two", recipe="sprites"), table)
    assert list(measured.read(table)) == ["sprites", "sprites-dense"]


@pytest.mark.parametrize(
    ("changes", "keys", "reason"),
    [
        (["training.seed=2"], {}, "was not trained by a shipped recipe as it is now"),
        ([], {"interrupted": True}, "was stopped by Ctrl-C"),
    ],
)
def test_a_run_that_is_not_the_recipe_as_it_is_cannot_be_recorded(
    changes: list[str], keys: dict[str, object], reason: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=reason):
        measured.record(run_folder(tmp_path / "run", *changes, **keys), tmp_path / "measured.json")
    assert not (tmp_path / "measured.json").exists()


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"summary": "other words"}, True),
        ({"notes": [1]}, True),
        ({"a key of later": 1}, True),
        ({"augmentation": [{"name": "flip"}]}, False),
        ({"training": {"epochs": 16}}, False),
    ],
)
def test_a_recipe_has_changed_when_a_key_of_then_says_something_else(change: dict[str, object], same: bool) -> None:
    settings = recipe.settings(recipe.load("digits", []))
    assert measured.current(settings, {**settings, **change}) == same


def compared(*arguments: str | Path) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["compare", *map(str, arguments)], env={"COLUMNS": "250"})
    return result.exit_code, result.stdout, result.stderr


def test_compared_runs_stand_beside_the_notes_figures(tmp_path: Path) -> None:
    dense, conv = run_folder(tmp_path / "dense"), run_folder(tmp_path / "conv", recipe="sprites", parameters=69_405)
    status, table, _ = compared(dense, conv, "--out", tmp_path / "comparison")
    assert status == 0
    for word in ("4,320,201", "69,405", "0.6000", "0.63", "0.89", "2 of 3"):
        assert word in table
    assert {path.name for path in (tmp_path / "comparison").iterdir()} == {"comparison.md", "comparison.png"}
    assert "| 0.63 |" in (tmp_path / "comparison" / "comparison.md").read_text()


def test_what_is_no_run_folder_is_refused_by_name(tmp_path: Path) -> None:
    status, _, error = compared(tmp_path)
    assert (status, error.count("\n")) == (1, 1)
    assert "run.json: cannot be read" in error


def test_a_damaged_history_is_refused_by_name(tmp_path: Path) -> None:
    (run_folder(tmp_path / "run") / runs.HISTORY).write_text("epoch,loss\n1,2\n")
    status, _, error = compared(tmp_path / "run")
    assert status == 1
    assert "history.csv: cannot be read" in error


def test_measured_figures_are_a_strict_document(tmp_path: Path) -> None:
    (tmp_path / "measured.json").write_text('{"recipes": {"digits": {}}}')
    with pytest.raises(BundleError, match="missing required field"):
        measured.read(tmp_path / "measured.json")
