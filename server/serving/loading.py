"""From a bundle on disk to a model in service: verify, build, warm, compare with the golden outputs.

Every step can refuse the bundle, with its reason. Nothing is served that did not give the trained model's answers on this
machine first.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bundle import files, golden
from bundle.errors import BundleError
from bundle.golden import Golden
from bundle.manifest import Manifest
from server.config import Settings
from server.engine import select
from server.engine.base import Batch, Engine


@dataclass(frozen=True)
class Loaded:
    """A bundle that passed every step."""

    manifest: Manifest
    engine: Engine


def load(folder: Path, settings: Settings) -> Loaded:
    """Takes the bundle in `folder` through all the steps; blocking. Raises BundleError with the reason for a refusal."""
    manifest = files.verify(folder)
    samples = golden.read(folder, manifest)
    try:
        engine = select.build(folder, manifest, settings)
        _warm(engine, samples)
        _compare(engine, manifest, samples)
    except BundleError:
        raise
    except Exception as error:
        raise BundleError(f"the engine cannot run the model: {error}") from error
    return Loaded(manifest, engine)


def _warm(engine: Engine, samples: Golden) -> None:
    """Runs every batch size that will occur once, so that the first callers do not wait for it."""
    for size in engine.buckets or (1,):
        pixels = np.resize(samples.pixels, (size, *samples.pixels.shape[1:]))
        for targets in (0, 1):
            engine.run(Batch(pixels, np.full((size, targets), -1), np.zeros((size, targets), np.int64)))


def _compare(engine: Engine, manifest: Manifest, samples: Golden) -> None:
    outputs = engine.run(Batch(samples.pixels, samples.targets, samples.methods))
    found = golden.difference(samples, outputs.probabilities, outputs.heatmaps)
    for name, delta in zip(("probabilities", "heatmaps"), found, strict=True):
        allowed = getattr(manifest.tolerance, name)
        if not delta <= allowed:
            raise BundleError(
                f"golden check: {name} differ from the trained model's by {delta:.3g}, the manifest allows {allowed:.3g}"
            )
