"""How far a form's answers are from those of fp32, and how many pictures a second it answers.

fp32 on ONNX Runtime is the measure: the export has proved on every bundle that it answers as the trained model does, to 1e-4. Heatmaps
are compared for the class that fp32 ranks first, also where another form ranks another one first.
"""

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from bundle.golden import Golden, difference
from bundle.manifest import Manifest
from bundle.samples import UNKNOWN, Samples
from exporter import parity
from exporter.optimise import engines
from exporter.optimise.engines import Compiled, EngineName
from exporter.optimise.forms import Form, LeftOutError
from exporter.parity import Answers
from exporter.report import Distance, Measured

BATCHES = (1, 8, 32)
_BATCH = 64
_ROUNDS = 5
_SECONDS = 0.05  # that one form is run for in one round, or once if that takes longer

Run = Callable[[NDArray[np.uint8]], object]
Name = TypeVar("Name", bound=Hashable)


@dataclass(frozen=True)
class Subject:
    """What is measured: the bundle in its new folder, on pictures that calibration has not seen."""

    folder: Path
    manifest: Manifest
    golden: Golden
    evaluation: Samples


@dataclass(frozen=True)
class Running:
    """A form on an engine, with its answers to the pictures."""

    form: Form
    compiled: Compiled
    answers: Answers  # probabilities [S, K], heatmaps [S, 1, h, w] of the class that fp32 ranks first

    @property
    def engine(self) -> EngineName:
        return self.compiled.engine


def run(subject: Subject, form: Form, engine: EngineName, reference: Running | None) -> Running:
    """`form` on `engine`; the `reference` is fp32 on ONNX Runtime, None for itself.

    Raises LeftOutError when the engine is not there or cannot run it.
    """
    if engine not in engines.installed():
        raise LeftOutError(f"{form.precision} on {engine}: {engines.WITHOUT_OPENVINO}")
    pixels, count = subject.evaluation.pixels, len(subject.evaluation)
    targets = np.full(count, -1) if reference is None else reference.answers[0].argmax(axis=1)
    predict, explain = (subject.folder / name for name in (form.predict_file, form.file))
    try:
        compiled = engines.compiled(engine, predict, explain, bfloat16=form.precision == "bf16")
        return Running(form, compiled, _answers(compiled, subject.manifest, pixels, targets))
    except Exception as error:  # the engines' own exception types share no base
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise LeftOutError(f"{form.precision} on {engine}: it cannot run the graph: {reason[0]}") from error


def all_of(subject: Subject, running: Sequence[Running]) -> list[Measured]:
    """The figures of each of `running`, of which the first is the reference."""
    timed = {number: _predicting(each) for number, each in enumerate(running) if each.form.timed}
    speed = speeds(timed, subject.evaluation.pixels)
    return [_measured(subject, each, running[0], speed.get(number, {})) for number, each in enumerate(running)]


def distance(found: Answers, reference: Answers) -> Distance:
    """How far the answers `found` are from those of the `reference`; NaN counts as 0, which is no answer."""
    probabilities, heatmaps = (np.nan_to_num(each) for each in found)
    differences = np.abs(probabilities - reference[0])
    return Distance(
        top1_agreement=float((probabilities.argmax(axis=1) == reference[0].argmax(axis=1)).mean()),
        max_probability_difference=min(parity.largest(differences), 1.0),
        mean_probability_difference=float(differences.mean()),
        heatmap_correlation=parity.correlation(heatmaps, reference[1]),
    )


def accuracy(probabilities: NDArray[np.float32], given: Samples, manifest: Manifest) -> float | None:
    """The share of pictures whose label is ranked first; None where no labels are known, or several may be right."""
    labelled = given.labels != UNKNOWN
    if manifest.kind == "multilabel" or not labelled.any():
        return None
    return float((probabilities.argmax(axis=1) == given.labels)[labelled].mean())


def plain_difference(form: Compiled, probabilities: NDArray[np.float32], pixels: NDArray[np.uint8]) -> float:
    """The largest difference between `probabilities` and those of the form's graph without explanations."""
    plain = [form.predict.run(["probabilities"], {"pixels": part})[0] for part in parity.batches(pixels)]
    return parity.largest(np.concatenate(plain) - probabilities)


def speeds(
    forms: Mapping[Name, Run], pixels: NDArray[np.uint8], clock: Callable[[], float] = time.perf_counter
) -> dict[Name, dict[str, float]]:
    """Pictures a second of each of `forms`, by batch size: the medians of rounds in which they take turns.

    Taking turns, they all have their share of what else the machine does and of its wandering clock.
    """
    found: dict[Name, dict[str, float]] = {name: {} for name in forms}
    for size in BATCHES:
        batch = np.resize(pixels, (size, *pixels.shape[1:]))
        for each in forms.values():
            each(batch)  # the first one also allocates
        rounds = [{name: _rate(each, batch, clock) for name, each in forms.items()} for _ in range(_ROUNDS)]
        for name in forms:
            found[name][str(size)] = round(float(np.median([rates[name] for rates in rounds])), 1)
    return found


def _rate(form: Run, batch: NDArray[np.uint8], clock: Callable[[], float]) -> float:
    runs, started = 0, clock()
    while (taken := clock() - started) < _SECONDS or not runs:
        form(batch)
        runs += 1
    return runs * len(batch) / taken


def _predicting(running: Running) -> Run:
    return lambda pixels: running.compiled.predict.run(["probabilities"], {"pixels": pixels})


def _answers(compiled: Compiled, manifest: Manifest, pixels: NDArray[np.uint8], targets: NDArray[np.int64]) -> Answers:
    """The answers to one of `targets` [S] for each picture, explained by the default method."""
    form = parity.onnx_runtime(compiled.explain, manifest.explanations)
    asked = np.split(targets[:, None], range(_BATCH, len(pixels), _BATCH))
    found = [
        form(part, classes, manifest.explanations[0])
        for part, classes in zip(parity.batches(pixels, _BATCH), asked, strict=True)
    ]
    return np.concatenate([p for p, _ in found]), np.concatenate([h for _, h in found])


def _measured(subject: Subject, running: Running, reference: Running, speed: dict[str, float]) -> Measured:
    probabilities, heatmaps = _golden_difference(running.compiled, subject.golden, subject.manifest)
    return Measured(
        precision=running.form.precision,
        engine=running.engine,
        distance=distance(running.answers, reference.answers),
        accuracy=accuracy(running.answers[0], subject.evaluation, subject.manifest),
        golden_probabilities=probabilities,
        golden_heatmaps=heatmaps,
        images_per_second=speed,
    )


def _golden_difference(form: Compiled, golden: Golden, manifest: Manifest) -> tuple[float, float]:
    """Largest differences (probabilities, heatmaps) from the trained model's answers, as the server finds them; 1 at most."""
    feeds: dict[str, engines.Array] = {"pixels": golden.pixels, "targets": golden.targets}
    if len(manifest.explanations) > 1:
        feeds["methods"] = golden.methods
    probabilities, heatmaps = form.explain.run(["probabilities", "heatmaps"], feeds)
    found = difference(golden, probabilities, heatmaps)
    return min(found[0], 1.0), min(found[1], 1.0)
