"""Recipes that classify no pictures, from training to the served answer: the model that is served is the one that was trained."""

import json
import urllib.request
from pathlib import Path

import keras
import msgspec
import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from bench.server_process import serving
from bundle import preprocess, run
from bundle.run import KERAS_MODEL, TensorRun
from client import Client, TensorModel
from client.__main__ import cli
from exporter.__main__ import app as exporter
from training import recipe
from training.__main__ import app as training
from training.arrays.trainer import Task

BRACKETS = ["data.length=10", "data.train=64", "data.validation=16", "data.test=16"]
PICTURES = [
    "data.with_hero=12", "data.without=12", "data.train=12", "data.validation=6", "network.filters=[4, 4]",
    "preprocess.height=25", "preprocess.width=40",
]  # fmt: skip
TEXT = ["data.length=12", "data.stride=2000", "network.units=8"]
SHORT = {
    "penguins": ["training.batch_size=64"],
    "brackets-rnn": BRACKETS,
    "brackets-lstm": BRACKETS,
    "brackets-gru": BRACKETS,
    "python-text": TEXT,
    "sprites-autoencoder": PICTURES,
    "sprites-denoiser": PICTURES,
}
OFTEN = ("penguins", "python-text", "sprites-denoiser")  # the others in `make test-slow`


def command(app: typer.Typer, *arguments: str | Path) -> str:
    """Runs a command line in this process and returns what it printed; fails the test unless it ends with 0."""
    ran = CliRunner().invoke(app, list(map(str, arguments)))
    assert ran.exit_code == 0, ran.output
    return ran.stdout


def train_and_export(name: str, folder: Path) -> TensorRun:
    """A run folder and a bundle of the short form of a recipe, as folder/run and folder/models/<name>/1."""
    changes = [word for change in SHORT[name] for word in ("--set", change)]
    command(training, "run", name, "--out", folder / "run", "--epochs", "1", *changes)
    command(exporter, "keras", folder / "run", "--out", folder / "models" / name / "1", "--samples", "16")
    return run.read_tensors(folder / "run")


@pytest.mark.parametrize(
    "name", [pytest.param(each, marks=() if each in OFTEN else pytest.mark.slow) for each in SHORT]
)
def test_every_recipe_in_a_short_form_is_served_as_it_was_trained(name: str, tmp_path: Path) -> None:
    trained = train_and_export(name, tmp_path)
    given, _ = run.read_rows(tmp_path / "run")
    expected = keras.models.load_model(tmp_path / "run" / KERAS_MODEL, compile=False).predict(given, verbose=0)
    with serving(tmp_path / "models") as server, Client(server.grpc) as client:
        model = client.tensor_model(name)
        found = client.infer({model.inputs[0].name: given[:8]}, name)[model.outputs[0].name]
        np.testing.assert_allclose(found, expected[:8], atol=1e-4 * np.abs(expected).max())
        assert (list(model.labels), model.preprocess) == (trained.labels, trained.preprocess)
        known = {"labels": trained.labels, "preprocess": json.loads(msgspec.json.encode(trained.preprocess))}
        assert told_by_http(server.http, name) == {key: value for key, value in known.items() if value}
        asked_by_command(model, server.grpc, tmp_path)


def test_no_recipe_of_arrays_is_forgotten() -> None:
    assert set(SHORT) == {name for name in recipe.shipped() if isinstance(recipe.load(name, []), Task)}


def told_by_http(address: str, model: str) -> dict[str, object]:
    """The parameters of the model's configuration."""
    with urllib.request.urlopen(f"http://{address}/v2/models/{model}/config") as answer:
        parameters = json.load(answer)["parameters"]
    return {name: json.loads(value["string_value"]) for name, value in parameters.items()}


def asked_by_command(model: TensorModel, target: str, folder: Path) -> None:
    """Models that answer with pictures and with text have commands of their own."""
    if model.preprocess:
        given = folder / "given.png"
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 160, 3), np.uint8)).save(given)
        command(cli, "transform", given, "--model", model.name, "--out", folder / "made", "--target", target)
        pixels = preprocess.from_bytes(given.read_bytes(), model.preprocess).pixels[np.newaxis]
        with Client(target) as client, Image.open(folder / "made" / "given.png") as made:
            answer = client.infer({"pixels": pixels}, model.name)["picture"][0]
            np.testing.assert_array_equal(np.asarray(made), np.rint(answer))
    elif not model.labels:
        asked = (
            "generate",
            "--model",
            model.name,
            "--prompt",
            "The",
            "--length",
            "12",
            "--seed",
            "3",
            "--target",
            target,
        )
        text = command(cli, *asked)
        assert text.startswith("The")
        assert text == command(cli, *asked)
