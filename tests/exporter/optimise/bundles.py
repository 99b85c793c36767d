"""Bundles with pictures in them, and the command that is tested."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from typer.testing import CliRunner, Result

from bundle import files, samples
from bundle.manifest import Manifest, Method, Precision
from bundle.samples import Samples
from exporter.__main__ import app
from tests.bundles import make_bundle

LABELS = ("circle", "square", "star")
SHAPE = (12, 16, 3)


def random_pictures(count: int, seed: int = 3) -> Samples:
    """Noise with made-up labels."""
    random = np.random.default_rng(seed)
    return Samples(random.integers(0, 256, (count, *SHAPE), np.uint8), random.integers(0, len(LABELS), count))


def bundle_with_pictures(
    folder: Path, count: int = 64, labels: Sequence[str] = LABELS, methods: Sequence[Method] = ("gradcam",)
) -> Path:
    """A small bundle that keeps `count` pictures."""
    manifest = files.verify_classifier(make_bundle(folder, labels=labels, methods=methods))
    samples.write(folder, random_pictures(count))
    files.seal(folder, manifest)
    return folder


def optimise(source: Path, out: Path, *options: str) -> Result:
    return CliRunner().invoke(app, ["optimise", str(source), "--out", str(out), *options])


def optimised(source: Path, out: Path, *options: str) -> Manifest:
    answer = optimise(source, out, *options)
    assert answer.exit_code == 0, answer.output
    return files.verify_classifier(out)


def form(manifest: Manifest, name: str) -> Precision:
    return next(form for form in manifest.precisions if form.name == name)


def held_out(count: int = 64) -> NDArray[np.uint8]:
    """Those of the bundle's pictures that calibration does not see."""
    return random_pictures(count).pixels[np.arange(count) % 4 > 0]
