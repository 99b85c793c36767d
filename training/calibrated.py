"""A run with a temperature: the same run folder, but for the model and what is said of its probabilities.

The temperature is a layer of model.keras, so the exporter compiles it in as it does every other layer, and Grad-CAM, which explains
the score before softmax, is explained the same: a score divided by one number has its evidence in the same places.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from msgspec.structs import replace

from bundle import files, strict
from bundle import run as runs
from training import calibration
from training.answers import Answers
from training.data.dataset import SplitName
from training.report import material, page

CALIBRATION = "calibration.json"


class Quality(strict.Document, frozen=True):
    """What probabilities are worth on a split."""

    error: float  # expected calibration error, 0..1
    loss: float  # cross-entropy
    accuracy: float


class Calibration(strict.Document, frozen=True):
    """The whole of calibration.json."""

    schema: Literal["seethrough.calibration/1"]
    temperature: float  # scores are divided by it
    fitted_on: SplitName
    before: dict[str, Quality]  # split -> quality
    after: dict[str, Quality]


def write(source: Path, out: Path) -> Calibration:
    """Writes the run in `source` with a temperature fitted on its validation split as the run folder `out`.

    Raises FileExistsError when `out` is there, RecipeError, DataError and BundleError.
    """
    run, model = material.read(source), material.model(source)
    examples = material.examples(source, run)
    scores, activation = calibration.split(model)
    given = {split: scores.predict(pixels, batch_size=256, verbose=0) for split, (pixels, _) in examples.items()}
    found = calibration.temperature(given["validation"], activation, examples["validation"][1])
    warm = calibration.with_temperature(model, found)
    before, after = (
        {
            split: Answers(*examples[split], calibration.probabilities(each / by, activation))
            for split, each in given.items()
        }
        for by in (1.0, found)
    )
    document = Calibration(
        schema="seethrough.calibration/1",
        temperature=found,
        fitted_on="validation",
        before=_qualities(before),
        after=_qualities(after),
    )
    with files.atomic_folder(out) as partial:
        shutil.copytree(source, partial, dirs_exist_ok=True, ignore=shutil.ignore_patterns(page.REPORT))
        warm.save(partial / runs.KERAS_MODEL)
        told = replace(run, name=out.name, metrics={split: each.metrics for split, each in after.items()})
        strict.write(partial / runs.RUN, told)
        strict.write(partial / CALIBRATION, document)
        page.write(partial, page.Subject(told, warm, after["test"], "all test pictures"))
    return document


def _qualities(answers: Mapping[SplitName, Answers]) -> dict[str, Quality]:
    return {split: _quality(each) for split, each in answers.items()}


def _quality(answers: Answers) -> Quality:
    metrics = answers.metrics
    error = calibration.reliability(answers.probabilities, answers.labels).error
    return Quality(error=error, loss=metrics.loss, accuracy=metrics.accuracy)
