"""The steps of an export, in order, and the bundle they leave behind.

Everything is checked as it lies on disk: the ONNX file and the SavedModel are read back before they are compared. The folder
appears under its name only when every check has passed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import onnxruntime as ort
import tensorflow as tf
from numpy.typing import NDArray

from bundle import files, golden, manifest, run, strict
from bundle.golden import Golden
from bundle.manifest import FeatureMap, Manifest, Precision, Provenance, Tensor, Tolerance
from bundle.run import Run
from exporter import convert, keras_model, parity, signatures
from exporter.errors import ExportError, FailedChecksError
from exporter.gradcam import Explained, explain
from exporter.oracle import Oracle
from exporter.report import Check, Report, at_most

# Rounding on another CPU or in another order moves probabilities by about 1e-6 and heatmaps by 1e-5; a model with other
# weights, or another preprocessing, misses these by far.
TOLERANCE = Tolerance(probabilities=1e-3, heatmaps=1e-2)

_GOLDEN_SAMPLES = 8
_GOLDEN_TARGETS = np.array([-1, -2, 0])
_MATCHED_SAMPLES = 4


@dataclass(frozen=True)
class Summary:
    """What an export made, for the person who asked for it."""

    manifest: Manifest
    report: Report


@dataclass(frozen=True)
class _Exported:
    """A model in the forms that a bundle is made of."""

    model: keras.Model
    explained: Explained
    oracle: Oracle
    feature_map: FeatureMap
    inputs: list[Tensor]
    outputs: list[Tensor]


STEPS = ("read the run", "convert to ONNX", "compile Grad-CAM", "write the files", "compare the answers", "seal")


def export(run_folder: Path, out: Path, layer: str | None, samples: int, step: Callable[[str], None]) -> Summary:
    """Makes the bundle `out` of the run in `run_folder`, comparing answers on up to `samples` held-out pictures.

    `layer` names the Keras layer whose output is explained; None looks for it. `step` is called with each of STEPS as it
    begins. Raises BundleError for a run folder that is not whole, FileExistsError when `out` is there already, and
    ExportError for everything else; nothing is left of `out` then.
    """
    step("read the run")
    trained = run.read(run_folder)
    pixels, _ = run.read_samples(run_folder)
    pixels = _checked(pixels, trained)[:samples]
    model = keras_model.load(run_folder, trained)
    exported = _exported(model, trained, pixels, layer, step)
    with files.atomic_folder(out) as folder:
        step("write the files")
        onnx.save(exported.explained.model, folder / manifest.ONNX_MODEL)
        exported.oracle.save(folder / manifest.SAVED_MODEL)
        step("compare the answers")
        checks = _checks(folder, exported, pixels)
        failed = [check for check in checks if not check.passed]
        if failed:
            raise FailedChecksError(failed, len(checks))
        step("seal")
        report = Report(schema="seethrough.report/1", samples=len(pixels), checks=checks)
        strict.write(folder / manifest.REPORT, report)
        sealed = files.seal(folder, _manifest(trained, exported, report))
        golden.read(folder, files.verify(folder))
    return Summary(sealed, report)


def _checked(pixels: NDArray[np.uint8], trained: Run) -> NDArray[np.uint8]:
    if pixels.dtype != np.uint8 or pixels.shape[1:] != trained.preprocess.shape or not len(pixels):
        raise ExportError(
            f"{run.SAMPLES}: pixels are {pixels.dtype} {list(pixels.shape)}, run.json's preprocess gives uint8 "
            f"{[-1, *trained.preprocess.shape]} and at least one is needed; run the training again"
        )
    return pixels


def _exported(
    model: keras.Model, trained: Run, pixels: NDArray[np.uint8], layer: str | None, step: Callable[[str], None]
) -> _Exported:
    step("convert to ONNX")
    converted = convert.to_onnx(model)
    matches = convert.match(model, converted, pixels[:_MATCHED_SAMPLES])
    step("compile Grad-CAM")
    explained = explain(converted, None if layer is None else matches.tensor_of(layer))
    name = layer or matches.layer_of(explained.tensor)
    feature_map = FeatureMap(
        layer=name,
        tensor=explained.tensor,
        height=explained.height,
        width=explained.width,
        channels=explained.channels,
        extent=explained.extent,
    )
    inputs, outputs = manifest.signature(trained.preprocess, len(trained.labels), feature_map)
    return _Exported(model, explained, Oracle(model, name), feature_map, inputs, outputs)


def _checks(folder: Path, exported: _Exported, pixels: NDArray[np.uint8]) -> list[Check]:
    """Every check of the bundle in `folder`, to which the golden samples are added."""
    labels = exported.explained.labels
    path = folder / manifest.ONNX_MODEL
    session = _session(path)
    loaded = tf.saved_model.load(str(folder / manifest.SAVED_MODEL))
    signature = loaded.signatures["serving_default"]
    runtime = parity.onnx_runtime(session)
    trained = {
        asked: parity.answers_of(exported.oracle, pixels, targets)
        for asked, targets in parity.target_sets(labels).items()
    }
    return [
        *signatures.check_onnx(path, session, exported.inputs, exported.outputs),
        signatures.check_saved_model(signature, exported.inputs, exported.outputs),
        _oracle_check(exported, trained["top class"][0], pixels),
        *parity.compare("SavedModel", parity.saved_model(signature), trained, pixels),
        *parity.compare("ONNX Runtime", runtime, trained, pixels),
        *parity.batch_independence(runtime, pixels, labels),
        *_golden_checks(folder, exported, runtime, trained["top class"][0], pixels),
    ]


def _session(path: Path) -> ort.InferenceSession:
    try:
        return ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    except Exception as error:  # its own exception types share no base
        raise ExportError(f"ONNX Runtime cannot load the exported graph: {error}") from error


def _oracle_check(exported: _Exported, probabilities: NDArray[np.float32], pixels: NDArray[np.uint8]) -> Check:
    """The function that explains, against the plain model as it was trained."""
    plain: Any = exported.model.predict(pixels, batch_size=64, verbose=0)
    if exported.explained.kind == "binary":
        plain = np.concatenate([1 - plain, plain], axis=1)
    difference = parity.largest(plain - probabilities)
    told = f"Keras predict with the GradientTape function, {len(pixels)} samples"
    return at_most(parity.PROBABILITIES_LIMIT, difference, "GradientTape: probabilities", told)


def _golden_checks(
    folder: Path,
    exported: _Exported,
    runtime: parity.Form,
    probabilities: NDArray[np.float32],
    pixels: NDArray[np.uint8],
) -> list[Check]:
    """Writes the golden samples and judges ONNX Runtime by them as the server will."""
    pixels = pixels[most_decided(probabilities, _GOLDEN_SAMPLES)]
    targets = np.tile(_GOLDEN_TARGETS, (len(pixels), 1))
    answers = Golden(pixels, targets, *exported.oracle(pixels, targets))
    golden.write(folder, answers)
    differences = golden.difference(answers, *runtime(pixels, targets))
    told = f"ONNX Runtime with golden.npz, {len(pixels)} samples"
    return [
        at_most(limit, difference, f"golden samples: {name}", told)
        for name, limit, difference in zip(
            ("probabilities", "heatmaps"), (TOLERANCE.probabilities, TOLERANCE.heatmaps), differences, strict=True
        )
    ]


def most_decided(probabilities: NDArray[np.float32], count: int) -> NDArray[np.intp]:
    """The samples whose first three ranks are furthest apart, so that rounding on another machine cannot swap them."""
    ranked = -np.sort(-probabilities, axis=1)[:, :3]
    margins = -np.diff(ranked, axis=1).max(axis=1)
    return np.sort(np.argsort(-margins, kind="stable")[:count])


def _manifest(trained: Run, exported: _Exported, report: Report) -> Manifest:
    measured = {check.name: check.measured for check in report.checks}
    return Manifest(
        schema="seethrough.bundle/1",
        kind=trained.kind,
        labels=trained.labels,
        preprocess=trained.preprocess,
        inputs=exported.inputs,
        outputs=exported.outputs,
        explanation="gradcam",
        feature_map=exported.feature_map,
        precisions=[
            Precision(
                name="fp32",
                file=manifest.ONNX_MODEL,
                samples=report.samples,
                top1_agreement=measured["ONNX Runtime: classes ranked alike, top class"],
                max_probability_difference=measured["ONNX Runtime: probabilities"],
            )
        ],
        minimum_top1_agreement=parity.MINIMUM_AGREEMENT,
        tolerance=TOLERANCE,
        provenance=_provenance(trained),
        files={manifest.ONNX_MODEL: ""},
    )


def _provenance(trained: Run) -> Provenance:
    tools = {name: version(name) for name in ("tf2onnx", "onnx", "onnxruntime")}
    return Provenance(
        run=trained.name,
        recipe=trained.recipe,
        dataset=trained.dataset.name,
        dataset_fingerprint=trained.dataset.fingerprint,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        libraries={**trained.libraries, **tools},
    )
