"""Pictures in folders: read as the server reads them; what cannot be trained on ends with one line and a status."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from bundle import preprocess
from bundle import run as runs
from tests.training import publish
from training.__main__ import app
from training.data import found
from training.data.dataset import Dataset
from training.errors import DataError, RecipeError
from training.recipe import of_pictures

SMALL = ["preprocess.height=16", "preprocess.width=16", "network.blocks=[{filters=2, kernel=3, pool=4, dropout=0.0}]"]


def run(data: Path, out: Path, *changes: str) -> tuple[int, str]:
    """Trains cats-and-dogs in little on the pictures under `data`."""
    words = ["training.epochs=1", "network.head.dense=[4]", *SMALL, *changes]
    settings = [word for change in words for word in ("--set", change)]
    result = CliRunner().invoke(app, ["run", "cats-and-dogs", "--data", str(data), "--out", str(out), *settings])
    return result.exit_code, result.stderr


def loaded(data: Path, *changes: str) -> Dataset:
    return of_pictures("cats-and-dogs", [found.keys(data), *changes]).data.load()


def undivided(root: Path, **counts: int) -> Path:
    """root/LABEL/N.png, each of another grey."""
    for label, count in counts.items():
        (root / label).mkdir(parents=True)
        for number in range(count):
            Image.new("RGB", (8, 8), (number, 0, ord(label[0]))).save(root / label / f"{number:02}.png")
    return root


def test_files_give_the_pixels_that_the_server_makes_of_them(tmp_path: Path) -> None:
    recipe = of_pictures("cats-and-dogs", [f"data.path={publish.folders(tmp_path, ('cats', 'dogs'))}"])
    split = recipe.data.load().splits["train"]
    np.testing.assert_array_equal(split.labels, [0, 0, 0, 1, 1, 1])
    data = (tmp_path / "train" / "dogs" / "0.png").read_bytes()
    np.testing.assert_array_equal(
        split.pictures.pixels(3, recipe.preprocess), preprocess.from_bytes(data, recipe.preprocess).pixels
    )
    with Image.open(tmp_path / "train" / "dogs" / "0.png") as picture:
        assert split.pictures[3].tobytes() == picture.tobytes()


def empty_class(root: Path) -> None:
    for path in (root / "validation" / "dogs").iterdir():
        path.unlink()


def no_class(root: Path) -> None:
    shutil.rmtree(root / "train" / "dogs")


def other_classes(root: Path) -> None:
    shutil.rmtree(root / "test" / "dogs")


def corrupt(root: Path) -> None:
    for path in (root / "train" / "cats").iterdir():
        path.write_bytes(path.read_bytes()[:60])


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (shutil.rmtree, "no such folder; put the pictures there"),
        (empty_class, "the validation split has no picture of dogs; every class needs some in each split"),
        (no_class, "train: has one class only (cats), and nothing to tell apart"),
        (other_classes, "has the folders ['cats'], data.labels asks for ['cats', 'dogs']"),
        (corrupt, "the train split has no picture of cats"),
    ],
    ids=["no data", "empty class", "one class only", "a class without test", "no picture of a class can be read"],
)
def test_data_that_cannot_be_trained_on_ends_with_one_line_and_status_1(
    damage: Callable[[Path], object], reason: str, tmp_path: Path
) -> None:
    damage(publish.folders(tmp_path / "data", ("cats", "dogs")))
    status, error = run(tmp_path / "data", tmp_path / "run")
    assert status == 1
    assert error.splitlines()[-1].startswith("error: ")
    assert reason in error.splitlines()[-1]
    assert not (tmp_path / "run").exists()


def test_what_cannot_be_read_is_left_out_and_named_with_its_reason(tmp_path: Path) -> None:
    broken = publish.folders(tmp_path / "data", ("cats", "dogs")) / "train" / "cats" / "1.png"
    broken.write_bytes(broken.read_bytes()[:60])
    (broken.parent / "notes.txt").write_text("not a picture")
    (broken.parent / ".DS_Store").write_text("nobody's business")
    status, error = run(tmp_path / "data", tmp_path / "run")
    assert status == 0, error
    assert "left out 2 of 7 files that cannot be read" in error
    assert f"{broken}: cannot be read: the picture is broken or incomplete" in error
    assert "notes.txt: cannot be read: not a picture" in error
    assert ".DS_Store" not in error
    assert runs.read(tmp_path / "run").dataset.class_counts["train"] == {"cats": 2, "dogs": 3}


def test_a_folder_without_splits_is_divided_by_share_in_every_class(tmp_path: Path) -> None:
    data = undivided(tmp_path, cat=20, dog=10, mouse=3)
    dataset = loaded(data, "data.validation=0.2", "data.test=0.3")
    counts = {name: np.bincount(split.labels).tolist() for name, split in dataset.splits.items()}
    assert counts == {"train": [10, 5, 1], "validation": [4, 2, 1], "test": [6, 3, 1]}
    pictures = [
        split.pictures[index].tobytes() for split in dataset.splits.values() for index in range(len(split.labels))
    ]
    assert len(set(pictures)) == 33


def test_the_seed_decides_the_division(tmp_path: Path) -> None:
    data = undivided(tmp_path, cat=20, dog=20)

    def tested(seed: int) -> list[bytes]:
        test = loaded(data, f"data.seed={seed}").splits["test"]
        return [test.pictures[index].tobytes() for index in range(len(test.labels))]

    assert tested(1) == tested(1) != tested(2)


def test_a_class_too_small_to_be_divided_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="dog: has 2 pictures that can be read"):
        loaded(undivided(tmp_path, cat=20, dog=2))


def test_a_division_that_leaves_nothing_to_learn_from_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="leave nothing of its 20 pictures"):
        loaded(undivided(tmp_path, cat=20, dog=20), "data.validation=0.5", "data.test=0.5")


def test_rare_classes_can_weigh_more_and_the_balance_is_shown(tmp_path: Path) -> None:
    data = undivided(tmp_path / "data", cat=20, dog=10)
    status, error = run(data, tmp_path / "run", "class_weights=balanced")
    assert status == 0, error
    rows = [line.split() for line in error.splitlines()]
    assert ["cat", "14", "3", "3", "70.0%", "0.714"] in rows
    assert ["dog", "6", "2", "2", "30.0%", "1.67"] in rows


def test_a_weight_for_each_class_and_no_more(tmp_path: Path) -> None:
    status, error = run(undivided(tmp_path / "data", cat=9, dog=9), tmp_path / "run", "class_weights=[1, 2, 3]")
    assert status == 2
    assert "class_weights: there are 3 weights and 2 classes" in error.splitlines()[-1]


def test_data_cannot_be_given_to_a_recipe_of_other_things(tmp_path: Path) -> None:
    with pytest.raises(RecipeError):
        of_pictures("penguins", [found.keys(undivided(tmp_path, cat=3, dog=3))])


def test_a_diverging_run_ends_with_status_1_and_leaves_nothing(tmp_path: Path) -> None:
    publish.folders(tmp_path / "data", ("cats", "dogs"))
    sgd = "training.optimiser={name='sgd', momentum=0.9}"
    status, error = run(tmp_path / "data", tmp_path / "run", sgd, "training.learning_rate=1e38", "training.epochs=9")
    assert status == 1
    assert "lower training.learning_rate" in error.splitlines()[-1]
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
