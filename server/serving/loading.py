"""From a bundle on disk to a model in service: verify, build, warm, compare with the golden outputs.

Every step can refuse the bundle, with its reason. Nothing is served that did not give the trained model's answers on this
machine first.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bundle import files, golden
from bundle.errors import BundleError
from bundle.manifest import Manifest, Precision, TensorManifest
from server.config import Settings
from server.engine import select
from server.engine.base import Array, Engine
from server.engine.select import Choice, Probe

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Loaded:
    """A bundle that passed every step."""

    manifest: Manifest | TensorManifest
    engine: Engine


def load(folder: Path, settings: Settings) -> Loaded:
    """Takes the bundle in `folder` through all the steps; blocking. Raises BundleError with the reason for a refusal."""
    manifest = files.verify(folder)
    try:
        engine = (
            _checked_tensors(folder, manifest, settings)
            if isinstance(manifest, TensorManifest)
            else _checked_classifier(folder, manifest, settings)
        )
    except BundleError:
        raise
    except Exception as error:
        raise BundleError(f"the engine cannot run the model: {error}") from error
    return Loaded(manifest, engine)


def _checked_classifier(folder: Path, manifest: Manifest, settings: Settings) -> Engine:
    samples = golden.read(folder, manifest)
    plain: dict[str, Array] = {"pixels": samples.pixels}
    explained = plain | {"targets": samples.targets, "methods": samples.methods}
    forms: dict[str, Precision] = {form.name: form for form in select.forms(manifest, settings.precision)}
    graphs = {name: [folder / form.predict_file, folder / form.file] for name, form in forms.items()}
    found = select.choices(list(forms.values()), settings)
    engine = _fastest(graphs, found, settings, Probe(_first(plain), ["probabilities"]))
    _warm(engine, plain, ["probabilities"])
    one_target = plain | {"targets": samples.targets[:, :1], "methods": samples.methods[:, :1]}
    _warm(engine, one_target, ["probabilities", "heatmaps"])
    outputs = engine.run(explained, ["probabilities", "heatmaps"])
    probabilities, heatmaps = (output.astype(np.float32) for output in outputs)
    deltas = golden.difference(samples, probabilities, heatmaps)
    for name, delta in zip(("probabilities", "heatmaps"), deltas, strict=True):
        _require(name, delta, getattr(forms[engine.precision].tolerance, name))
    return engine


def _checked_tensors(folder: Path, manifest: TensorManifest, settings: Settings) -> Engine:
    samples = golden.read_tensors(folder, manifest)
    wanted = [tensor.name for tensor in manifest.outputs]
    graphs: dict[str, list[Path]] = {form.name: [folder / form.file] for form in manifest.precisions}
    found = select.choices(manifest.precisions, settings)
    engine = _fastest(graphs, found, settings, Probe(_first(samples.inputs), wanted))
    _warm(engine, samples.inputs, wanted)
    for name, output in zip(wanted, engine.run(samples.inputs, wanted), strict=True):
        _require(name, golden.relative_difference(samples.outputs[name], output), manifest.tolerance)
    return engine


def _fastest(graphs: Mapping[str, Sequence[Path]], found: Sequence[Choice], settings: Settings, probe: Probe) -> Engine:
    """The engine that is fastest here; `graphs` are those of each precision, the cheapest first."""

    def seconds(choice: Choice) -> float:
        alone = select.build(graphs[choice.precision][:1], choice, settings)
        took = select.shortest(alone, probe, time.perf_counter)
        log.debug("%s takes %.3f ms", choice, 1e3 * took)
        return took

    choice = select.fastest(found, seconds)
    return select.build(graphs[choice.precision], choice, settings)


def _first(feeds: Mapping[str, Array]) -> dict[str, Array]:
    return {name: array[:1] for name, array in feeds.items()}


def _warm(engine: Engine, feeds: Mapping[str, Array], wanted: Sequence[str]) -> None:
    """Runs every batch size that will occur once, so that the first callers do not wait for it."""
    for size in engine.buckets or (1,):
        engine.run({name: np.resize(array, (size, *array.shape[1:])) for name, array in feeds.items()}, wanted)


def _require(name: str, delta: float, allowed: float) -> None:
    if not delta <= allowed:
        raise BundleError(
            f"golden check: {name} differ from the trained model's by {delta:.3g}, the manifest allows {allowed:.3g}"
        )
