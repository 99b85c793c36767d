"""Any model that classifies no images, as a bundle: arrays in, arrays out, the first axis the batch.

Nothing is added to the graph and nothing explains it. What has to be proved is that requests of different callers may share a batch:
rows must be answered alike alone and beside others. Where the model was trained here, its own answers are the measure.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray

from bundle import files, golden, manifest, strict
from bundle.golden import TensorGolden, relative_difference
from bundle.manifest import Dtype, Provenance, Tensor, TensorManifest, TensorPrecision
from bundle.preprocess import PreprocessSpec
from exporter.errors import ExportError, FailedChecksError
from exporter.report import Check, Report, at_most

STEPS = ("write the files", "compare the answers", "seal")

TOLERANCE = 1e-3  # of the largest output: what another CPU may round differently
_ALIKE = 1e-4  # of the largest output: what another batch size, or another library, may
_GOLDEN_ROWS = 8
_ALONE_ROWS = 32

Array = NDArray[np.generic]
Rows = Mapping[str, Array]
Engine = Literal["any", "onnxruntime"]

_DTYPES: dict[str, Dtype] = {
    "tensor(bool)": "bool",
    "tensor(uint8)": "uint8",
    "tensor(uint16)": "uint16",
    "tensor(uint32)": "uint32",
    "tensor(uint64)": "uint64",
    "tensor(int8)": "int8",
    "tensor(int16)": "int16",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(float16)": "float16",
    "tensor(float)": "float32",
    "tensor(double)": "float64",
}


@dataclass(frozen=True)
class TensorCandidate:
    """A model on its way into a bundle of the kind `tensor`, and the means to judge it."""

    graph: onnx.ModelProto
    session: ort.InferenceSession  # of the graph
    rows: Rows  # for each input S rows, S >= 1
    expected: Rows | None  # what the model as it was trained answers to them; None where the graph is all there is
    reference: str  # whose answers those are, for people
    labels: list[str]
    preprocess: PreprocessSpec | None
    engine: Engine  # which can run the graph
    provenance: Provenance


def export(candidate: TensorCandidate, out: Path, step: Callable[[str], None]) -> Report:
    """Makes the bundle `out` of `candidate`; `step` is called with each of STEPS as it begins.

    Raises FileExistsError when `out` is there already, and ExportError when an input or output has no free first axis or a type that
    cannot be served, or when a check fails; nothing is left of `out` then.
    """
    inputs, outputs = signature(candidate.session)
    with files.atomic_folder(out) as folder:
        step("write the files")
        onnx.save_model(candidate.graph, folder / manifest.ONNX_MODEL)
        step("compare the answers")
        answers = answers_of(candidate.session, candidate.rows)
        checks = list(_checks(candidate, answers))
        if failed := [check for check in checks if not check.passed]:
            raise FailedChecksError(failed, len(checks))
        step("seal")
        first = slice(_GOLDEN_ROWS)
        right = candidate.expected or answers
        golden.write_tensors(folder, TensorGolden(_part(candidate.rows, first), _part(right, first)))
        report = Report(schema="seethrough.report/1", samples=_count(candidate.rows), checks=checks)
        strict.write(folder / manifest.REPORT, report)
        sealed = files.seal(folder, _manifest(candidate, inputs, outputs, report))
        files.verify(folder)
        golden.read_tensors(folder, sealed)
    return report


def signature(session: ort.InferenceSession) -> tuple[list[Tensor], list[Tensor]]:
    """Inputs and outputs of a graph; raises ExportError for those that cannot be served."""
    return _described(session.get_inputs()), _described(session.get_outputs())


def _described(values: list[ort.NodeArg]) -> list[Tensor]:
    tensors = []
    for value in values:
        if value.type not in _DTYPES:
            raise ExportError(
                f"{value.name} is a {value.type}, which cannot be served; there are: {', '.join(_DTYPES)}"
            )
        if not value.shape or isinstance(value.shape[0], int):
            raise ExportError(
                f"the first axis of {value.name} {value.shape} must be the batch and free; export the model with a dynamic "
                "batch axis"
            )
        shape = [-1, *(size if isinstance(size, int) else -1 for size in value.shape[1:])]
        tensors.append(Tensor(name=value.name, dtype=_DTYPES[value.type], shape=shape))
    return tensors


def answers_of(session: ort.InferenceSession, given: Rows) -> dict[str, Array]:
    """All outputs for the rows `given`; raises ExportError when it fails, or does not answer each with a row."""
    names = [value.name for value in session.get_outputs()]
    rows = _count(given)
    try:
        found = dict(zip(names, session.run(names, dict(given)), strict=True))
    except Exception as error:  # its own exception types share no base
        raise ExportError(f"ONNX Runtime fails on {rows} rows: {error}") from error
    for name, array in found.items():
        if not array.ndim or len(array) != rows:
            raise ExportError(f"{name}: {rows} rows are answered with {list(array.shape)}, not with a row each")
    return found


def _checks(candidate: TensorCandidate, answers: Rows) -> Iterator[Check]:
    rows = _count(candidate.rows)
    for name, right in (candidate.expected or {}).items():
        told = f"ONNX Runtime with {candidate.reference}, {rows} held-out rows, in parts of the largest output"
        yield at_most(_ALIKE, relative_difference(right, answers[name]), f"{candidate.reference}: {name}", told)
    few = range(min(rows, _ALONE_ROWS))
    alone = [answers_of(candidate.session, _part(candidate.rows, slice(row, row + 1))) for row in few]
    told = f"ONNX Runtime, each of {len(few)} rows by itself with {rows} at once, in parts of the largest output"
    for name, together in answers.items():
        apart = np.concatenate([answer[name] for answer in alone])
        difference = relative_difference(together[: len(few)], apart)
        yield at_most(_ALIKE, difference, f"{name}: rows alone and in a batch", told)


def _count(rows: Rows) -> int:
    return len(next(iter(rows.values())))


def _part(given: Rows, rows: slice) -> dict[str, Array]:
    return {name: array[rows] for name, array in given.items()}


def _manifest(
    candidate: TensorCandidate, inputs: list[Tensor], outputs: list[Tensor], report: Report
) -> TensorManifest:
    worst = max(check.measured for check in report.checks)
    return TensorManifest(
        schema="seethrough.bundle/1",
        kind="tensor",
        labels=candidate.labels,
        preprocess=candidate.preprocess,
        inputs=inputs,
        outputs=outputs,
        precisions=[
            TensorPrecision(
                name="fp32",
                engine=candidate.engine,
                file=manifest.ONNX_MODEL,
                samples=report.samples,
                max_difference=worst,
            )
        ],
        tolerance=TOLERANCE,
        provenance=candidate.provenance,
        files={manifest.ONNX_MODEL: ""},
    )
