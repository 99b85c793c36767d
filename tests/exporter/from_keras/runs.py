"""Run folders as training leaves them, around an untrained model."""

from pathlib import Path

import keras
import numpy as np

from bundle import run, strict
from bundle.preprocess import PreprocessSpec
from bundle.run import Dataset, Metrics, Run

SAMPLES = 24


def make_run(folder: Path, model: keras.Model, labels: list[str]) -> Path:
    """Writes a run folder with `model` and random held-out samples into `folder`, which must not exist."""
    height, width, channels = model.input_shape[1:]
    spec = PreprocessSpec(
        height=height,
        width=width,
        colour="grey" if channels == 1 else "rgb",
        fit="stretch",
        crop=1.0,
        resampling="bilinear",
        background=(0, 0, 0),
    )
    random = np.random.default_rng(0)
    folder.mkdir()
    model.save(folder / run.KERAS_MODEL)
    np.savez(
        folder / run.SAMPLES,
        pixels=random.integers(0, 256, (SAMPLES, *spec.shape), np.uint8),
        labels=random.integers(0, len(labels), SAMPLES),
    )
    strict.write(folder / run.RUN, _document(folder.name, spec, labels, model.count_params()))
    return folder


def _document(name: str, spec: PreprocessSpec, labels: list[str], parameters: int) -> Run:
    return Run(
        schema="seethrough.run/1",
        name=name,
        recipe="random",
        settings={},
        kind="binary" if len(labels) == 2 else "multiclass",
        labels=labels,
        preprocess=spec,
        dataset=Dataset(name="noise", fingerprint="0" * 64, class_counts={}),
        parameters=parameters,
        seed=0,
        epochs=1,
        best_epoch=1,
        interrupted=False,
        metrics={"test": Metrics(loss=1.0, accuracy=0.5)},
        started="2026-01-01T00:00:00Z",
        seconds=1.0,
        command="python -m training run random",
        libraries={"keras": keras.__version__},
    )
