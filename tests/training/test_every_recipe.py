"""Each recipe for classifying pictures trains in a short form, passes the exporter's checks and is served as it was trained."""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
from typer.testing import CliRunner

import exporter.__main__
import training.__main__
from bench.server_process import serving
from bundle import run as runs
from client import Client, Explain
from tests.training import publish
from training import fit, recipe
from training.data import fashion
from training.tasks.classification import Classification

fashion_data = pytest.mark.skipif(
    not fashion.DEBIAN_FOLDER.is_dir(), reason=f"Fashion-MNIST: apt-get install {fashion.DEBIAN_PACKAGE}"
)


def mnist(folder: Path) -> list[str]:
    return [f"data.folder={publish.npz(folder, learn=80)}", "data.validation=20"]


def cifar(folder: Path) -> list[str]:
    return [f"data.folder={publish.cifar(folder)}", "data.validation=20"]


def cats(folder: Path) -> list[str]:
    return [f"data.path={publish.folders(folder, ('cats', 'dogs'))}"]


def sprites(_: Path) -> list[str]:
    return ["data.with_hero=30", "data.without=30", "data.train=30", "data.validation=15"]


def less_to_learn(_: Path) -> list[str]:
    return ["data.validation=58000"]


SHORT: dict[str, Callable[[Path], list[str]]] = {
    "mnist-dense": mnist,
    "cifar10": cifar,
    "mnist": mnist,
    "cats-and-dogs": cats,
    "sprites": sprites,
    "sprites-dense": sprites,
    "sprites-dense-2": sprites,
    "fashion": less_to_learn,
    "fashion-dense": less_to_learn,
    "clothes-base": lambda _: ["data.train=20", "data.validation=20"],
    "clothes-scratch": lambda _: [],
    "digits": lambda _: [],
}
QUICK = {
    "mnist-dense",
    "cifar10",
}  # a dense and a convolutional network; the others take their time in `make test-slow`


def marks(name: str) -> list[pytest.MarkDecorator]:
    return [
        *([] if name in QUICK else [pytest.mark.slow]),
        *([fashion_data] if name.startswith(("fashion", "clothes")) else []),
    ]


@pytest.mark.parametrize("name", [pytest.param(name, marks=marks(name)) for name in SHORT])
def test_a_recipe_is_trained_exported_and_served_as_it_was_trained(name: str, tmp_path: Path) -> None:
    served_as_trained(name, SHORT[name](tmp_path / "data"), tmp_path)


@pytest.mark.slow
def test_normalisation_penalties_and_dropout_are_served_as_they_were_trained(tmp_path: Path) -> None:
    layers = ["network.layers.batch_normalisation=true", "network.layers.l1=1e-5", "network.layers.l2=1e-4"]
    head = ["network.head.vector_dropout=0.2", "network.head.dense=[16]", "network.head.dense_dropout=0.5"]
    served_as_trained("digits", [*layers, *head], tmp_path)


def served_as_trained(name: str, changes: list[str], folder: Path) -> None:
    """Trains, exports and serves the recipe with `changes`, and compares the answers with those of the Keras model."""
    settings = [word for change in [*changes, "training.epochs=1"] for word in ("--set", change)]
    out = folder / "run"
    command(training.__main__.app, "run", name, "--out", out, *settings)
    # A dense network has no map but the picture: each pixel is explained by its own gradient.
    method = "hirescam" if "-dense" in name else "gradcam"
    command(exporter.__main__.app, "keras", out, "--method", method, "--out", folder / "models" / name / "1")

    trained = runs.read(out)
    pictures, _ = runs.read_samples(out)
    expected = fit.probabilities(keras.models.load_model(out / runs.KERAS_MODEL), pictures[:2])
    with serving(folder / "models") as server, Client(server.grpc, timeout=60) as client:
        answers = client.classify([*pictures[:2]], name, top_k=len(trained.labels), explain=Explain())
    for answer, probabilities in zip(answers.results, expected, strict=True):
        served = {each.label: each.probability for each in answer.predictions}
        np.testing.assert_allclose([served[label] for label in trained.labels], probabilities, atol=1e-4)
        assert answer.explanations


def command(app: object, *words: object) -> None:
    """Runs a command of `app` in this process, and fails with what it said unless it ends well."""
    result = CliRunner().invoke(app, [str(word) for word in words])  # type: ignore[arg-type]
    assert result.exit_code == 0, f"{words}\n{result.stdout}\n{result.stderr}"


def test_no_recipe_for_pictures_is_left_out() -> None:
    assert set(SHORT) == {name for name in recipe.shipped() if isinstance(recipe.load(name, []), Classification)}
