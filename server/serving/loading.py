"""From a bundle on disk to a model in service: verify, build, warm, compare with the golden outputs.

Every step can refuse the bundle, with its reason. Nothing is served that did not give the trained model's answers on this
machine first.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bundle import files, golden
from bundle.errors import BundleError
from bundle.manifest import Manifest, Precision, TensorManifest
from server.batching.items import ImageItem, TensorItem
from server.config import Settings
from server.engine import select
from server.engine.base import Array, Engine
from server.engine.select import Choice, Probe, Trial

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Loaded:
    """A bundle that passed every step."""

    manifest: Manifest | TensorManifest
    engines: list[Engine]  # as many as run beside each other
    rebuild: Callable[[], Engine]  # one more like them, that passed the steps too; raises what went wrong
    max_batch: int  # rows in one run
    canary: ImageItem | TensorItem  # a question to ask an engine that has been idle


@dataclass(frozen=True)
class _Candidate:
    engine: Engine
    choice: Choice
    max_batch: int


@dataclass(frozen=True)
class _Steps:
    """What takes a graph of a bundle to an engine in service."""

    graphs: Mapping[str, Sequence[Path]]  # of each precision, those with fewer outputs first
    probe: Probe
    check: Callable[[Engine], None]  # raises BundleError when its answers are not the trained model's


def verify(folder: Path) -> Manifest | TensorManifest:
    """The manifest of the bundle in `folder`, all of whose files have their checksums; blocking. Raises BundleError."""
    with _timed("verify"):
        return files.verify(folder)


def load(folder: Path, settings: Settings) -> Loaded:
    """Takes the bundle in `folder` through all the steps; blocking. Raises BundleError with the reason for a refusal."""
    return build(folder, verify(folder), settings)


def build(folder: Path, manifest: Manifest | TensorManifest, settings: Settings) -> Loaded:
    """Takes a verified bundle through all further steps; blocking. Raises BundleError with the reason for a refusal."""
    try:
        if isinstance(manifest, TensorManifest):
            return _load_tensors(folder, manifest, settings)
        return _load_classifier(folder, manifest, settings)
    except BundleError:
        raise
    except Exception as error:
        raise BundleError(f"the engine cannot run the model: {error}") from error


def _load_classifier(folder: Path, manifest: Manifest, settings: Settings) -> Loaded:
    with _timed("read golden samples"):
        samples = golden.read(folder, manifest)
    plain: dict[str, Array] = {"pixels": samples.pixels}
    explained = plain | {"targets": samples.targets, "methods": samples.methods}
    forms: dict[str, Precision] = {form.name: form for form in select.forms(manifest, settings.precision)}

    def check(engine: Engine) -> None:
        tolerance = forms[engine.precision].tolerance
        _warm(engine, plain, ["probabilities"])
        one_target = plain | {"targets": samples.targets[:, :1], "methods": samples.methods[:, :1]}
        _warm(engine, one_target, ["probabilities", "heatmaps"])
        answers = [*engine.run(plain, ["probabilities"]), *engine.run(explained, ["probabilities", "heatmaps"])]
        alone, probabilities, heatmaps = (answer.astype(np.float32) for answer in answers)
        for found in (alone, probabilities):
            deltas = golden.difference(samples, found, heatmaps)
            for name, delta in zip(("probabilities", "heatmaps"), deltas, strict=True):
                _require(name, delta, getattr(tolerance, name))

    graphs = {name: [folder / form.predict_file, folder / form.file] for name, form in forms.items()}
    steps = _Steps(graphs, Probe(_first(plain), ["probabilities"]), check)
    canary = ImageItem(samples.pixels[:1], np.empty((1, 0), np.int64), 0)
    return _loaded(folder, manifest, select.choices(list(forms.values()), settings), steps, settings, canary)


def _load_tensors(folder: Path, manifest: TensorManifest, settings: Settings) -> Loaded:
    samples = golden.read_tensors(folder, manifest)
    wanted = [tensor.name for tensor in manifest.outputs]

    def check(engine: Engine) -> None:
        _warm(engine, samples.inputs, wanted)
        for name, output in zip(wanted, engine.run(samples.inputs, wanted), strict=True):
            _require(name, golden.relative_difference(samples.outputs[name], output), manifest.tolerance)

    graphs: dict[str, list[Path]] = {form.name: [folder / form.file] for form in manifest.precisions}
    first = _first(samples.inputs)
    steps = _Steps(graphs, Probe(first, wanted), check)
    found = select.choices(manifest.precisions, settings)
    return _loaded(folder, manifest, found, steps, settings, TensorItem(first, tuple(wanted)))


def _loaded(
    folder: Path,
    manifest: Manifest | TensorManifest,
    found: Sequence[Choice],
    steps: _Steps,
    settings: Settings,
    canary: ImageItem | TensorItem,
) -> Loaded:
    best = _best(_by_speed(found, steps, settings), steps.check)
    choice = best.choice

    def rebuild() -> Engine:
        if files.verify(folder) != manifest:
            raise BundleError(f"{folder} holds another bundle now; the model has to be loaded again")
        engine = select.build(steps.graphs[choice.precision], choice, settings)
        steps.check(engine)
        return engine

    engines = [best.engine, *(rebuild() for _ in range(1, settings.instances))]
    return Loaded(manifest, engines, rebuild, best.max_batch, canary)


def _by_speed(found: Sequence[Choice], steps: _Steps, settings: Settings) -> Iterator[_Candidate]:
    """Engines with all their graphs, the fastest here first."""

    def trial(choice: Choice) -> Trial:
        with _timed(f"try {choice.engine} {choice.precision} on {choice.threads} threads"):
            engine = select.build(steps.graphs[choice.precision][:1], choice, settings)
            seconds = select.shortest(engine, steps.probe, time.perf_counter)
        log.debug("%s takes %.3f ms", choice, 1e3 * seconds)
        return Trial(choice, engine, seconds)

    for tried in select.by_speed(found, trial, any_threads=not settings.threads):
        engine = tried.engine
        if more := steps.graphs[tried.choice.precision][1:]:
            with _timed("build the explaining graph"):
                engine = engine.joined(select.build(more, tried.choice, settings))
        yield _Candidate(engine, tried.choice, select.largest_batch(tried, settings))


def _best(candidates: Iterator[_Candidate], check: Callable[[Engine], None]) -> _Candidate:
    """The first engine that gives the trained model's answers. Raises BundleError, the last one's, when none does."""
    refusal = BundleError("no engine runs it")
    for candidate in candidates:
        try:
            with _timed("warm and check"):
                check(candidate.engine)
        except BundleError as error:
            log.warning("%s %s: %s", candidate.engine.name, candidate.engine.precision, error)
            refusal = error
        else:
            return candidate
    raise refusal


@contextmanager
def _timed(what: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    log.debug("%s took %.3f s", what, time.perf_counter() - started)


def _first(feeds: Mapping[str, Array]) -> dict[str, Array]:
    return {name: array[:1] for name, array in feeds.items()}


def _warm(engine: Engine, feeds: Mapping[str, Array], wanted: Sequence[str]) -> None:
    """Runs every batch size once, where an engine plans each anew, so that the first callers do not wait for it."""
    for size in engine.buckets:
        engine.run({name: np.resize(array, (size, *array.shape[1:])) for name, array in feeds.items()}, wanted)


def _require(name: str, delta: float, allowed: float) -> None:
    if not delta <= allowed:
        raise BundleError(
            f"golden check: {name} differ from the trained model's by {delta:.3g}, the manifest allows {allowed:.3g}"
        )
