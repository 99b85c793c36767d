"""From a bundle on disk to a model in service: verify, build, warm, compare with the golden outputs.

Every step can refuse the bundle, with its reason. Nothing is served that did not give the trained model's answers on this
machine first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bundle import files, golden
from bundle.errors import BundleError
from bundle.manifest import Manifest, TensorManifest
from server.config import Settings
from server.engine import select
from server.engine.base import Array, Engine


@dataclass(frozen=True)
class Loaded:
    """A bundle that passed every step."""

    manifest: Manifest | TensorManifest
    engine: Engine


def load(folder: Path, settings: Settings) -> Loaded:
    """Takes the bundle in `folder` through all the steps; blocking. Raises BundleError with the reason for a refusal."""
    manifest = files.verify(folder)
    try:
        engine = select.build(folder, manifest, settings)
        if isinstance(manifest, TensorManifest):
            _check_tensors(folder, manifest, engine)
        else:
            _check_classifier(folder, manifest, engine)
    except BundleError:
        raise
    except Exception as error:
        raise BundleError(f"the engine cannot run the model: {error}") from error
    return Loaded(manifest, engine)


def _check_classifier(folder: Path, manifest: Manifest, engine: Engine) -> None:
    samples = golden.read(folder, manifest)
    explained: dict[str, Array] = {"pixels": samples.pixels, "targets": samples.targets, "methods": samples.methods}
    _warm(engine, {"pixels": samples.pixels}, ["probabilities"])
    _warm(engine, explained | {"targets": samples.targets[:, :1]}, ["probabilities", "heatmaps"])
    outputs = engine.run(explained, ["probabilities", "heatmaps"])
    found = golden.difference(samples, outputs[0].astype(np.float32), outputs[1].astype(np.float32))
    for name, delta in zip(("probabilities", "heatmaps"), found, strict=True):
        _require(name, delta, getattr(manifest.tolerance, name))


def _check_tensors(folder: Path, manifest: TensorManifest, engine: Engine) -> None:
    samples = golden.read_tensors(folder, manifest)
    wanted = [tensor.name for tensor in manifest.outputs]
    _warm(engine, samples.inputs, wanted)
    for name, output in zip(wanted, engine.run(samples.inputs, wanted), strict=True):
        _require(name, golden.relative_difference(samples.outputs[name], output), manifest.tolerance)


def _warm(engine: Engine, feeds: Mapping[str, Array], wanted: Sequence[str]) -> None:
    """Runs every batch size that will occur once, so that the first callers do not wait for it."""
    for size in engine.buckets or (1,):
        engine.run({name: np.resize(array, (size, *array.shape[1:])) for name, array in feeds.items()}, wanted)


def _require(name: str, delta: float, allowed: float) -> None:
    if not delta <= allowed:
        raise BundleError(
            f"golden check: {name} differ from the trained model's by {delta:.3g}, the manifest allows {allowed:.3g}"
        )
