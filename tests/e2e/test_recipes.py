"""From a recipe to a served answer, by the commands that a person types: the served model is the trained model."""

import subprocess
import sys
from pathlib import Path

import pytest

from bundle import run
from training.data import fashion

fashion_data = pytest.mark.skipif(
    not fashion.DEBIAN_FOLDER.is_dir(),
    reason=f"Fashion-MNIST is not installed: apt-get install {fashion.DEBIAN_PACKAGE}",
)


def python(*arguments: str | Path) -> str:
    """Runs `python -m ...` and returns what it printed; fails the test with its errors unless it ends with 0."""
    command = [sys.executable, "-m", *map(str, arguments)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, f"{' '.join(command)}\n{ran.stdout}\n{ran.stderr}"
    return ran.stdout


def train_and_export(recipe: str, folder: Path, *options: str) -> run.Run:
    """A run folder and a bundle of `recipe`, as folder/run and folder/models/<recipe>/1."""
    python("training", "run", recipe, "--out", folder / "run", *options)
    python("exporter", "keras", folder / "run", "--out", folder / "models" / recipe / "1")
    return run.read(folder / "run")


def agree(recipe: str, folder: Path, *options: str) -> str:
    """What bench.agreement prints about the test pictures, sent as PNG files; fails unless every answer agrees."""
    pictures = folder / "pictures"
    python("training", "pictures", recipe, "--split", "test", "--out", pictures, *options)
    models = ("--models", folder / "models")
    return python("bench.agreement", folder / "run", "--pictures", pictures, "--model", recipe, *models)


def changes(**keys: int) -> list[str]:
    """Options that change keys of the recipe's data."""
    return [word for key, value in keys.items() for word in ("--set", f"data.{key}={value}")]


@pytest.mark.parametrize(
    ("recipe", "data"),
    [
        ("digits", []),
        pytest.param("fashion", changes(validation=55_000), marks=[fashion_data, pytest.mark.slow]),
        ("sprites", changes(with_hero=60, without=60, train=60, validation=20)),
    ],
)
def test_every_recipe_in_a_short_form_is_served_as_it_was_trained(recipe: str, data: list[str], tmp_path: Path) -> None:
    train_and_export(recipe, tmp_path, "--epochs", "1", *data)
    agree(recipe, tmp_path, "--count", "40", *data)


@fashion_data
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_fashion_is_accurate_and_all_10000_test_images_are_served_as_keras_predicts(tmp_path: Path) -> None:
    trained = train_and_export("fashion", tmp_path)
    assert trained.metrics["test"].accuracy >= 0.90
    assert "10,000" in agree("fashion", tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_sprites_are_found_and_the_evidence_points_at_them(tmp_path: Path) -> None:
    trained = train_and_export("sprites", tmp_path)
    assert trained.metrics["test"].accuracy >= 0.90
    agree("sprites", tmp_path)
    pictures, models = tmp_path / "pictures", tmp_path / "models"
    python("bench.pointing", "--pictures", pictures, "--model", "sprites", "--models", models, "--minimum", "0.8")
