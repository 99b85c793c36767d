"""Bundles and runs written by hand: right in form, with files that nothing executes."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from bundle import files, golden
from bundle.golden import Golden
from bundle.manifest import (
    GOLDEN,
    MANIFEST,
    ONNX_MODEL,
    PREDICT_MODEL,
    REPORT,
    SAVED_MODEL,
    FeatureMap,
    Manifest,
    Precision,
    Provenance,
    Tolerance,
    signature,
)
from tests.bundle.pictures import PLAIN

LABELS = ["cat", "dog", "owl"]
FEATURE_MAP = FeatureMap(layer="conv", tensor="conv:0", height=3, width=3, channels=4, extent=(0.0, 0.0, 8.0, 6.0))
INPUTS, OUTPUTS = signature(PLAIN, len(LABELS), FEATURE_MAP, ["gradcam"])
# Every file of the bundle that `sealed` writes.
NAMES = (
    GOLDEN,
    MANIFEST,
    files.MANIFEST_SUM,
    ONNX_MODEL,
    PREDICT_MODEL,
    REPORT,
    f"{SAVED_MODEL}/saved_model.pb",
    f"{SAVED_MODEL}/variables/variables.index",
)
UNSEALED = Manifest(
    schema="seethrough.bundle/1",
    kind="multiclass",
    labels=LABELS,
    preprocess=PLAIN,
    inputs=INPUTS,
    outputs=OUTPUTS,
    explanations=["gradcam"],
    feature_map=FEATURE_MAP,
    precisions=[
        Precision(
            name="fp32",
            engine="any",
            file=ONNX_MODEL,
            predict_file=PREDICT_MODEL,
            samples=64,
            top1_agreement=1.0,
            max_probability_difference=1e-6,
            heatmap_correlation=1.0,
            tolerance=Tolerance(probabilities=1e-4, heatmaps=1e-4),
            images_per_second={"8": 1000.0},
        )
    ],
    minimum_top1_agreement=0.995,
    provenance=Provenance(
        source="Keras run animals",
        details={"recipe": "animals"},
        created="2026-01-01T00:00:00Z",
        libraries={"keras": "3"},
    ),
    files=dict.fromkeys((ONNX_MODEL, PREDICT_MODEL), "0" * 64),
)


def some_golden(samples: int = 2, targets: int = 2) -> Golden:
    """Seeded golden samples of the shapes that UNSEALED declares."""
    rng = np.random.default_rng(0)
    return Golden(
        pixels=rng.integers(0, 256, (samples, *PLAIN.shape), np.uint8),
        targets=rng.integers(0, 3, (samples, targets)),
        methods=np.zeros((samples, targets), np.int64),
        probabilities=rng.random((samples, len(LABELS)), np.float32),
        heatmaps=rng.random((samples, targets, 3, 3), np.float32),
    )


def sealed(folder: Path) -> Path:
    """Writes a whole bundle into `folder` and returns it."""
    for name in NAMES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(f"the bytes of {name}\n".encode())
    golden.write(folder, some_golden())
    files.seal(folder, UNSEALED)
    return folder


def edit_manifest(folder: Path, *path: str | int, value: Any = None, delete: bool = False) -> None:
    """Sets or deletes one key of the manifest and renews the manifest's own checksum: an edit, not damage."""
    document = json.loads((folder / MANIFEST).read_bytes())
    parent = document
    for key in path[:-1]:
        parent = parent[key]
    if delete:
        del parent[path[-1]]
    else:
        parent[path[-1]] = value
    (folder / MANIFEST).write_text(json.dumps(document))
    (folder / files.MANIFEST_SUM).write_text(f"{files.sha256(folder / MANIFEST)}  {MANIFEST}\n")
