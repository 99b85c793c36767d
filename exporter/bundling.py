"""The steps of an export that do not depend on where the model comes from, and the bundle they leave behind.

Everything is checked as it lies on disk: what was written is read back before it is compared. The folder appears under its
name only when every check has passed.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from bundle import files, golden, manifest, samples, strict
from bundle.golden import Golden
from bundle.manifest import FeatureMap, Manifest, Method, Precision, Tensor, Tolerance
from exporter import graphs, parity, signatures
from exporter.candidate import Candidate, Reference
from exporter.errors import ExportError, FailedChecksError
from exporter.gradcam import Explained, explain
from exporter.report import Check, Report, at_most
from exporter.tidy import tidy

# Rounding on another CPU or in another order moves probabilities by about 1e-6 and heatmaps by 1e-5; a model with other
# weights, or another preprocessing, misses these by far.
TOLERANCE = Tolerance(probabilities=1e-3, heatmaps=1e-2)

_GOLDEN_SAMPLES = 8
_GOLDEN_TARGETS = np.array([-1, -2, 0])

STEPS = ("compile Grad-CAM", "write the files", "compare the answers", "seal")


@dataclass(frozen=True)
class Wanted:
    """What the person who exports has chosen."""

    layer: str | None  # None: the last spatial map that the whole answer passes
    methods: Sequence[Method]  # at least one; the first is what a request gets by default


@dataclass(frozen=True)
class Summary:
    """What an export made, for the person who asked for it."""

    manifest: Manifest
    report: Report


@dataclass(frozen=True)
class _Exported:
    """A model in the forms that a bundle is made of."""

    candidate: Candidate
    explained: Explained
    reference: Reference
    feature_map: FeatureMap
    inputs: list[Tensor]
    outputs: list[Tensor]


def export(candidate: Candidate, out: Path, wanted: Wanted, step: Callable[[str], None]) -> Summary:
    """Makes the bundle `out` of `candidate`; `step` is called with each of STEPS as it begins.

    Raises FileExistsError when `out` is there already, and ExportError when Grad-CAM has no place in the model or a
    check fails; nothing is left of `out` then.
    """
    step("compile Grad-CAM")
    exported = _explained(candidate, wanted)
    with files.atomic_folder(out) as folder:
        step("write the files")
        graphs.write(exported.explained.model, folder)
        exported.reference.write(folder)
        if candidate.samples is not None:
            samples.write(folder, candidate.samples)
        step("compare the answers")
        checks = _checks(folder, exported)
        failed = [check for check in checks if not check.passed]
        if failed:
            raise FailedChecksError(failed, len(checks))
        step("seal")
        report = Report(schema="seethrough.report/1", samples=len(candidate.pixels), checks=checks)
        strict.write(folder / manifest.REPORT, report)
        sealed = files.seal(folder, _manifest(exported, report))
        golden.read(folder, files.verify_classifier(folder))
    return Summary(sealed, report)


def _explained(candidate: Candidate, wanted: Wanted) -> _Exported:
    tensor = None if wanted.layer is None else candidate.names.tensor_of(wanted.layer)
    explained = explain(tidy(candidate.graph), tensor, wanted.methods)
    if explained.labels != len(candidate.labels):
        raise ExportError(f"the model answers {explained.labels} classes, but there are {len(candidate.labels)} labels")
    layer = wanted.layer or candidate.names.layer_of(explained.tensor)
    feature_map = FeatureMap(
        layer=layer,
        tensor=explained.tensor,
        height=explained.height,
        width=explained.width,
        channels=explained.channels,
        extent=explained.extent,
    )
    inputs, outputs = manifest.signature(candidate.preprocess, explained.labels, feature_map, explained.methods)
    return _Exported(candidate, explained, candidate.reference(explained, layer), feature_map, inputs, outputs)


def _checks(folder: Path, exported: _Exported) -> list[Check]:
    """Every check of the bundle in `folder`, to which the golden samples are added."""
    pixels, methods = exported.candidate.pixels, exported.explained.methods
    labels, reference = exported.explained.labels, exported.reference
    explaining, predicting = (_session(folder / name) for name in (manifest.ONNX_MODEL, manifest.PREDICT_MODEL))
    runtime = parity.onnx_runtime(explaining, methods)
    checks = [
        *signatures.check_onnx(folder / manifest.ONNX_MODEL, explaining, exported.inputs, exported.outputs),
        *signatures.check_onnx(folder / manifest.PREDICT_MODEL, predicting, exported.inputs[:1], exported.outputs[:1]),
        *reference.checks(folder, pixels),
    ]
    for method in methods:
        expected = parity.answers_to_all(reference, pixels, labels, method)
        checks += parity.compare(("ONNX Runtime", reference.name), runtime, expected, pixels, method)
    top = expected["top class"][0]
    return [
        *checks,
        *parity.batch_independence(runtime, pixels, labels, methods[0]),
        _prediction_check(predicting, top, pixels),
        *_golden_checks(folder, exported, runtime, top),
    ]


def _session(path: Path) -> ort.InferenceSession:
    try:
        return ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    except Exception as error:  # its own exception types share no base
        raise ExportError(f"ONNX Runtime cannot load the exported graph: {error}") from error


def _prediction_check(
    predicting: ort.InferenceSession, probabilities: NDArray[np.float32], pixels: NDArray[np.uint8]
) -> Check:
    """The graph without explanations, against the model as it was given."""
    found = np.concatenate([predicting.run(None, {"pixels": part})[0] for part in parity.batches(pixels)])
    told = f"{manifest.PREDICT_MODEL} with the trained model, {len(pixels)} samples"
    return at_most(parity.PROBABILITIES_LIMIT, parity.largest(found - probabilities), "predict: probabilities", told)


def _golden_checks(
    folder: Path, exported: _Exported, runtime: parity.Form, probabilities: NDArray[np.float32]
) -> Iterator[Check]:
    """Writes the golden samples and judges ONNX Runtime by them as the server will."""
    pixels = exported.candidate.pixels[most_decided(probabilities, _GOLDEN_SAMPLES)]
    targets = np.tile(_GOLDEN_TARGETS, (len(pixels), 1))
    methods = exported.explained.methods
    answers = _golden(exported.reference, pixels, targets, methods)
    golden.write(folder, answers)
    found = _golden(runtime, pixels, targets, methods)
    differences = golden.difference(answers, found.probabilities, found.heatmaps)
    told = f"ONNX Runtime with golden.npz, {len(pixels)} samples"
    limits = (TOLERANCE.probabilities, TOLERANCE.heatmaps)
    for name, limit, difference in zip(("probabilities", "heatmaps"), limits, differences, strict=True):
        yield at_most(limit, difference, f"golden samples: {name}", told)


def _golden(
    form: parity.Form, pixels: NDArray[np.uint8], targets: NDArray[np.int64], methods: Sequence[Method]
) -> Golden:
    """The same targets by every method, side by side."""
    answers = [form(pixels, targets, method) for method in methods]
    numbers = np.concatenate([np.full_like(targets, number) for number in range(len(methods))], axis=1)
    heatmaps = np.concatenate([heatmaps for _, heatmaps in answers], axis=1)
    return Golden(pixels, np.tile(targets, len(methods)), numbers, answers[0][0], heatmaps)


def most_decided(probabilities: NDArray[np.float32], count: int) -> NDArray[np.intp]:
    """The samples whose first three ranks are furthest apart, so that rounding on another machine cannot swap them."""
    ranked = -np.sort(-probabilities, axis=1)[:, :3]
    margins = -np.diff(ranked, axis=1).max(axis=1)
    return np.sort(np.argsort(-margins, kind="stable")[:count])


def _manifest(exported: _Exported, report: Report) -> Manifest:
    measured = {check.name: check.measured for check in report.checks}
    return Manifest(
        schema="seethrough.bundle/1",
        kind=exported.explained.kind,
        labels=exported.candidate.labels,
        preprocess=exported.candidate.preprocess,
        inputs=exported.inputs,
        outputs=exported.outputs,
        explanations=list(exported.explained.methods),
        feature_map=exported.feature_map,
        precisions=[
            Precision(
                name="fp32",
                engine="any",
                file=manifest.ONNX_MODEL,
                predict_file=manifest.PREDICT_MODEL,
                samples=report.samples,
                top1_agreement=measured["ONNX Runtime: classes ranked alike, top class"],
                max_probability_difference=measured["ONNX Runtime: probabilities"],
                heatmap_correlation=measured[
                    f"ONNX Runtime: correlation of {exported.explained.methods[0]} heatmaps, top class"
                ],
                tolerance=TOLERANCE,
                images_per_second={},
            )
        ],
        minimum_top1_agreement=parity.MINIMUM_AGREEMENT,
        provenance=exported.candidate.provenance,
        files=dict.fromkeys((manifest.ONNX_MODEL, manifest.PREDICT_MODEL), ""),
    )
