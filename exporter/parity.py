"""Whether the exported forms of a model answer as the trained one does, on pictures it has not seen.

A heatmap is scaled by its own maximum, so its differences are relative to the strongest evidence. Heatmaps are compared for the
classes that both forms rank alike: where two probabilities are equal up to rounding, a rank may name either class, and
the check of the ranking, not that of the heatmaps, has to say so.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import onnxruntime as ort
import tensorflow as tf
from numpy.typing import NDArray

from exporter.report import Check, at_least, at_most

PROBABILITIES_LIMIT = 1e-4
HEATMAPS_LIMIT = 1e-4
MINIMUM_AGREEMENT = 0.995

_BATCH = 64
_ALONE = 8  # pictures that are also run one by one
_EXPLICIT = 16  # explicit classes that are compared at most

Pixels = NDArray[np.uint8]  # [N, H, W, C]
Targets = NDArray[np.int64]  # [M] here: the same for every picture
Answers = tuple[NDArray[np.float32], NDArray[np.float32]]  # probabilities [N, K], heatmaps [N, M, h, w]
Form = Callable[[Pixels, NDArray[np.int64]], Answers]  # one executable form of the model; targets [N, M]


def onnx_runtime(session: ort.InferenceSession) -> Form:
    """The bundle's ONNX graph."""

    def run(pixels: Pixels, targets: NDArray[np.int64]) -> Answers:
        probabilities, heatmaps = session.run(["probabilities", "heatmaps"], {"pixels": pixels, "targets": targets})
        return probabilities, heatmaps

    return run


def saved_model(signature: Any) -> Form:
    """The bundle's SavedModel, by its signature."""

    def run(pixels: Pixels, targets: NDArray[np.int64]) -> Answers:
        answers = signature(pixels=tf.constant(pixels), targets=tf.constant(targets))
        return answers["probabilities"].numpy(), answers["heatmaps"].numpy()

    return run


def answers_of(form: Form, pixels: Pixels, targets: Targets, batch: int = _BATCH) -> Answers:
    """What `form` answers for `pixels` [N, H, W, C] and the same `targets` [M] for each, in batches of `batch`."""
    parts = [pixels[start : start + batch] for start in range(0, len(pixels), batch)]
    found = [form(part, np.tile(targets, (len(part), 1))) for part in parts]
    return np.concatenate([p for p, _ in found]), np.concatenate([h for _, h in found])


def target_sets(labels: int) -> dict[str, Targets]:
    """The ways to ask for explanations that are compared, by a name for people."""
    classes = np.unique(np.linspace(0, labels - 1, min(labels, _EXPLICIT)).astype(np.int64))
    return {
        "top class": np.array([-1]),
        "second class": np.array([-2]),
        "top ranks in one call": -1 - np.arange(min(3, labels)),
        "explicit classes in one call": classes,
    }


def compare(name: str, form: Form, trained: dict[str, Answers], pixels: Pixels) -> Iterator[Check]:
    """Checks `form`, called `name`, against what the trained model answered to each of `target_sets`."""
    count = f"{name} with Keras, {len(pixels)} samples"
    for asked, (probabilities, heatmaps) in trained.items():
        targets = target_sets(probabilities.shape[1])[asked]
        found, maps = answers_of(form, pixels, targets)
        same = classes(found, targets) == classes(probabilities, targets)
        if asked == "top class":
            difference = largest(found - probabilities)
            yield at_most(PROBABILITIES_LIMIT, difference, f"{name}: probabilities", count)
        if targets[0] < 0:
            agreement = float(same.all(axis=1).mean())
            yield at_least(MINIMUM_AGREEMENT, agreement, f"{name}: classes ranked alike, {asked}", count)
        difference = largest((maps - heatmaps)[same])
        told = f"{count}, {same.sum()} of {same.size} heatmaps"
        yield at_most(HEATMAPS_LIMIT, difference, f"{name}: heatmaps, {asked}", told)


def batch_independence(form: Form, pixels: Pixels, labels: int) -> Iterator[Check]:
    """Checks that a picture gets the same answer alone as among others."""
    pixels, targets = pixels[:_ALONE], target_sets(labels)["top ranks in one call"]
    together, alone = answers_of(form, pixels, targets), answers_of(form, pixels, targets, batch=1)
    told = f"ONNX Runtime, {len(pixels)} samples one by one with the same in one batch"
    difference = largest(alone[0] - together[0])
    yield at_most(PROBABILITIES_LIMIT, difference, "batch independence: probabilities", told)
    difference = largest(alone[1] - together[1])
    yield at_most(HEATMAPS_LIMIT, difference, "batch independence: heatmaps", told)


def classes(probabilities: NDArray[np.float32], targets: Targets) -> NDArray[np.int64]:
    """Which classes [N, M] the `targets` [M] name, given `probabilities` [N, K]."""
    ranking = np.argsort(-probabilities, axis=1, kind="stable")
    ranked = ranking[:, np.clip(-1 - targets, 0, None)]
    return np.where(targets < 0, ranked, targets)


def largest(difference: NDArray[np.float32]) -> float:
    """The largest magnitude; NaN counts as infinite."""
    return float(np.nan_to_num(np.abs(difference), nan=np.inf).max(initial=0.0))
