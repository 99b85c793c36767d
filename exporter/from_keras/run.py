"""A run folder becomes a candidate for a bundle."""

from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np

from bundle import run
from bundle.manifest import Provenance
from bundle.run import KERAS_MODEL, Run
from bundle.samples import Samples
from exporter.candidate import Candidate
from exporter.errors import ExportError
from exporter.from_keras import convert, model, names
from exporter.from_keras.oracle import Oracle


def candidate(folder: Path, samples: int, step: Callable[[str], None]) -> Candidate:
    """The trained model of the run in `folder`, with up to `samples` of its held-out pictures.

    `step` is called with the name of each step as it begins. Raises BundleError for a run folder that is not whole and
    ExportError for a model that cannot be exported.
    """
    step("read the run")
    trained = run.read(folder)
    held_out = _checked(Samples(*run.read_samples(folder)), trained)
    pixels = held_out.pixels[:samples]
    network = model.load(folder / KERAS_MODEL)
    step("convert to ONNX")
    traced = convert.trace(network)
    model.check(folder / KERAS_MODEL, network, traced.ending(), trained)
    graph = convert.to_onnx(traced)
    layers = names.match(network, graph, pixels)
    return Candidate(
        graph=graph,
        labels=trained.labels,
        preprocess=trained.preprocess,
        pixels=pixels,
        samples=held_out,
        names=layers,
        provenance=_provenance(trained),
        reference=lambda explained, layer: Oracle(network, layers.path_of(layer), explained.methods),
    )


def _checked(samples: Samples, trained: Run) -> Samples:
    pixels, labels = samples.pixels, samples.labels
    if pixels.dtype != np.uint8 or pixels.shape[1:] != trained.preprocess.shape or not len(pixels):
        raise ExportError(
            f"{run.SAMPLES}: pixels are {pixels.dtype} {list(pixels.shape)}, run.json's preprocess gives uint8 "
            f"{[-1, *trained.preprocess.shape]} and at least one is needed; run the training again"
        )
    if labels.dtype != np.int64 or labels.shape != pixels.shape[:1]:
        raise ExportError(
            f"{run.SAMPLES}: labels are {labels.dtype} {list(labels.shape)}, not int64 [{len(pixels)}]; run the training again"
        )
    return samples


def _provenance(trained: Run) -> Provenance:
    return Provenance(
        source=f"Keras run {trained.name}",
        details={
            "run": trained.name,
            "recipe": trained.recipe,
            "dataset": trained.dataset.name,
            "dataset_fingerprint": trained.dataset.fingerprint,
        },
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        libraries={**trained.libraries, **{name: version(name) for name in convert.LIBRARIES}},
    )
