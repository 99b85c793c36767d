"""How a run is trained changes its time: the model that is kept computes in float32, on however many devices it learnt."""

import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from typer.testing import CliRunner

from bundle import run as runs
from training import devices
from training.__main__ import app

SMALL = ["network.blocks=[{filters=4, kernel=5, pool=3, dropout=0.1}]", "training.batch_size=128", "training.epochs=2"]
SETTINGS = [word for change in SMALL for word in ("--set", change)]
# Two devices can be made of one CPU only before TensorFlow starts.
TWO_CPUS = """
import sys, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from training.__main__ import app
app(sys.argv[1:])
"""


def test_a_model_in_mixed_precision_is_kept_as_one_in_float32() -> None:
    with devices.used("none", "mixed_bfloat16"):
        layers = keras.layers
        inner = keras.Sequential([keras.Input((8, 8, 1)), layers.Conv2D(2, 3, activation="relu"), layers.Flatten()])
        mixed = keras.Sequential([keras.Input((8, 8, 1)), inner, layers.Dense(3, activation="softmax")])
    assert mixed.layers[-1].compute_dtype == "bfloat16"
    exact = devices.in_float32(mixed)
    assert {layer.compute_dtype for layer in (*exact.layers, *exact.layers[0].layers)} == {"float32"}
    pixels = np.random.default_rng(0).random((4, 8, 8, 1), np.float32)
    difference = np.abs(exact(pixels).numpy() - keras.ops.convert_to_numpy(mixed(pixels)).astype(np.float32))
    assert 0 < difference.max() < 0.02
    assert devices.in_float32(exact) is exact


@pytest.mark.slow
def test_a_run_in_mixed_precision_writes_its_events_and_a_model_in_float32(tmp_path: Path) -> None:
    out, events = tmp_path / "run", tmp_path / "events"
    arguments = ["--out", str(out), "--precision", "mixed_bfloat16", "--tensorboard", str(events)]
    result = CliRunner().invoke(app, ["run", "digits", *arguments, *SETTINGS])
    assert result.exit_code == 0, result.output
    model = keras.models.load_model(out / runs.KERAS_MODEL)
    assert {layer.compute_dtype for layer in model.layers} == {"float32"}
    for split in ("training", "validation"):
        (written,) = (events / split).iterdir()
        data = written.read_bytes()
        assert data.count(b"epoch_loss") == data.count(b"epoch_accuracy") == 2


@pytest.mark.slow
def test_two_devices_learn_what_one_learns(tmp_path: Path) -> None:
    losses = {}
    for strategy in ("none", "mirrored"):
        arguments = ["run", "digits", "--out", str(tmp_path / strategy), "--strategy", strategy, *SETTINGS]
        done = subprocess.run([sys.executable, "-c", TWO_CPUS, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        losses[strategy] = json.loads((tmp_path / strategy / runs.RUN).read_text())["metrics"]["test"]["loss"]
    assert losses["mirrored"] == pytest.approx(losses["none"], rel=0.1)  # dropout differs between devices
