"""`calibrate`: the probabilities of a run become honest, its answers stay, and the exporter takes the temperature in."""

from pathlib import Path

import keras
import numpy as np
import pytest
from typer.testing import CliRunner

import exporter.__main__
from bundle import run as runs
from bundle import strict
from training import calibration, fit
from training.__main__ import app
from training.calibrated import CALIBRATION, Calibration


def training(*words: str) -> str:
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.slow
def test_a_run_is_calibrated_on_validation_and_exports_with_its_checks(tmp_path: Path) -> None:
    plain, warm = tmp_path / "plain", tmp_path / "warm"
    small = "network.blocks=[{filters=8, kernel=5, pool=3, dropout=0.0}]"
    training(
        "run", "digits", "--epochs", "4", "--set", small, "--set", "training.learning_rate=0.01", "--out", str(plain)
    )
    assert "temperature" in training("calibrate", str(plain), "--out", str(warm))
    found = strict.read(warm / CALIBRATION, Calibration)
    assert found.after["validation"].loss <= found.before["validation"].loss
    for split, before in found.before.items():
        assert found.after[split].accuracy == before.accuracy == runs.read(plain).metrics[split].accuracy
    models = [keras.models.load_model(folder / runs.KERAS_MODEL) for folder in (plain, warm)]
    pixels, _ = runs.read_samples(plain)
    scores, activation = calibration.split(models[0])
    expected = calibration.probabilities(scores(pixels).numpy() / found.temperature, activation)
    np.testing.assert_allclose(fit.probabilities(models[1], pixels), expected, atol=1e-6)
    exported = CliRunner().invoke(exporter.__main__.app, ["keras", str(warm), "--out", str(tmp_path / "bundle" / "1")])
    assert exported.exit_code == 0, exported.output
