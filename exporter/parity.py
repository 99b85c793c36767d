"""Whether the exported forms of a model answer as the trained one does, on pictures it has not seen.

A heatmap is scaled by its own maximum, so its differences are relative to the strongest evidence. Heatmaps are compared for the
classes that both forms rank alike: where two probabilities are equal up to rounding, a rank may name either class, and
the check of the ranking, not that of the heatmaps, has to say so.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from bundle.manifest import Method
from exporter.report import Check, at_least, at_most

PROBABILITIES_LIMIT = 1e-4
HEATMAPS_LIMIT = 1e-4
MINIMUM_AGREEMENT = 0.995
MINIMUM_CORRELATION = 0.999

_BATCH = 64
_ALONE = 8  # pictures that are also run one by one
_EXPLICIT = 16  # explicit classes that are compared at most

Pixels = NDArray[np.uint8]  # [N, H, W, C]
Targets = NDArray[np.int64]  # [M] here: the same for every picture
Answers = tuple[NDArray[np.float32], NDArray[np.float32]]  # probabilities [N, K], heatmaps [N, M, h, w]
# One executable form of the model: pixels, targets [N, M], the method of the heatmaps.
Form = Callable[[Pixels, NDArray[np.int64], Method], Answers]


def onnx_runtime(session: ort.InferenceSession, methods: Sequence[Method]) -> Form:
    """The bundle's ONNX graph, which carries `methods`."""

    def run(pixels: Pixels, targets: NDArray[np.int64], method: Method) -> Answers:
        feeds: dict[str, NDArray[np.generic]] = {"pixels": pixels, "targets": targets}
        if len(methods) > 1:
            feeds["methods"] = np.full_like(targets, methods.index(method))
        probabilities, heatmaps = session.run(["probabilities", "heatmaps"], feeds)
        return probabilities, heatmaps

    return run


def batches(pixels: Pixels, size: int = _BATCH) -> list[Pixels]:
    """`pixels` in parts of at most `size` pictures."""
    return [pixels[start : start + size] for start in range(0, len(pixels), size)]


def answers_of(form: Form, pixels: Pixels, targets: Targets, method: Method, batch: int = _BATCH) -> Answers:
    """What `form` answers for `pixels` [N, H, W, C] and the same `targets` [M] for each, in batches of `batch`."""
    found = [form(part, np.tile(targets, (len(part), 1)), method) for part in batches(pixels, batch)]
    return np.concatenate([p for p, _ in found]), np.concatenate([h for _, h in found])


def answers_to_all(form: Form, pixels: Pixels, labels: int, method: Method) -> dict[str, Answers]:
    """What `form` answers to each of `target_sets`."""
    return {asked: answers_of(form, pixels, targets, method) for asked, targets in target_sets(labels).items()}


def target_sets(labels: int) -> dict[str, Targets]:
    """The ways to ask for explanations that are compared, by a name for people."""
    classes = np.unique(np.linspace(0, labels - 1, min(labels, _EXPLICIT)).astype(np.int64))
    return {
        "top class": np.array([-1]),
        "second class": np.array([-2]),
        "top ranks in one call": -1 - np.arange(min(3, labels)),
        "explicit classes in one call": classes,
    }


def compare(
    names: tuple[str, str], form: Form, expected: dict[str, Answers], pixels: Pixels, method: Method
) -> Iterator[Check]:
    """Checks `form` against what the trained model answered to each of `target_sets`; `names` are for people."""
    name, reference = names
    count = f"{name} with {reference}, {len(pixels)} samples"
    for asked, (probabilities, heatmaps) in expected.items():
        targets = target_sets(probabilities.shape[1])[asked]
        found, maps = answers_of(form, pixels, targets, method)
        same = classes(found, targets) == classes(probabilities, targets)
        if asked == "top class":
            difference = largest(found - probabilities)
            yield at_most(PROBABILITIES_LIMIT, difference, f"{name}: probabilities", count)
        if targets[0] < 0:
            agreement = float(same.all(axis=1).mean())
            yield at_least(MINIMUM_AGREEMENT, agreement, f"{name}: classes ranked alike, {asked}", count)
        if asked == "top class":
            alike = correlation(maps[same], heatmaps[same])
            yield at_least(MINIMUM_CORRELATION, alike, f"{name}: correlation of {method} heatmaps, {asked}", count)
        difference = largest((maps - heatmaps)[same])
        told = f"{count}, {same.sum()} of {same.size} heatmaps"
        yield at_most(HEATMAPS_LIMIT, difference, f"{name}: {method} heatmaps, {asked}", told)


def batch_independence(form: Form, pixels: Pixels, labels: int, method: Method) -> Iterator[Check]:
    """Checks that a picture gets the same answer alone as among others."""
    pixels, targets = pixels[:_ALONE], target_sets(labels)["top ranks in one call"]
    together = answers_of(form, pixels, targets, method)
    alone = answers_of(form, pixels, targets, method, batch=1)
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


def correlation(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """Mean over the heatmaps [..., h, w] of Pearson's correlation of their cells; two that are the same everywhere count as 1."""
    size = found.shape[-2] * found.shape[-1]
    one, other = (
        maps.reshape(-1, size) - maps.reshape(-1, size).mean(axis=1, keepdims=True) for maps in (found, expected)
    )
    scale = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    alike = np.divide((one * other).sum(axis=1), scale, out=np.zeros(len(one), np.float32), where=scale > 0)
    alike[(scale == 0) & np.isclose(found, expected).reshape(-1, size).all(axis=1)] = 1
    return float(np.clip(alike, -1, 1).mean()) if len(alike) else 1.0


def largest(difference: NDArray[np.float32]) -> float:
    """The largest magnitude; NaN counts as infinite."""
    return float(np.nan_to_num(np.abs(difference), nan=np.inf).max(initial=0.0))
