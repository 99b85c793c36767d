"""Any ONNX model that takes no images, as a bundle: arrays in, arrays out, the first axis the batch.

Nothing is added to the graph and nothing explains it. What has to be proved is that requests of different callers may share a batch:
rows must be answered alike alone and beside others.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray

from bundle import arrays, files, golden, manifest, strict
from bundle.golden import TensorGolden, relative_difference
from bundle.manifest import Dtype, Provenance, Tensor, TensorManifest, TensorPrecision
from exporter.errors import ExportError, FailedChecksError
from exporter.from_onnx import opset, provenance, read, running
from exporter.report import Check, Report, at_most

STEPS = ("read the model", "write the files", "compare the answers", "seal")

TOLERANCE = 1e-3  # of the largest output: what another CPU may round differently
_ALONE = 1e-4  # of the largest output: what another batch size may
_GOLDEN_ROWS = 8

Array = NDArray[np.generic]
Rows = Mapping[str, Array]

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


def export(path: Path, samples: Path | None, rows: int, out: Path, step: Callable[[str], None]) -> Report:
    """Makes the bundle `out` of the ONNX file at `path`; `step` is called with each of STEPS as it begins.

    `samples` is an .npz file with an array [S, ...] for each input; without it, `rows` rows are made up. Raises ExportError
    when the model has an input or output without a free first axis or of a type that cannot be served, or when rows are
    answered differently alone and in a batch.
    """
    step("read the model")
    model = opset.lowered(read.load(path))
    session = running.session(model)
    inputs, outputs = (_described(values, path) for values in (session.get_inputs(), session.get_outputs()))
    given = _made_up(inputs, rows) if samples is None else _read(samples, inputs)
    with files.atomic_folder(out) as folder:
        step("write the files")
        onnx.save_model(model, folder / manifest.ONNX_MODEL)
        step("compare the answers")
        answers = _run(session, given)
        checks = _alone_and_together(session, given, answers)
        if failed := [check for check in checks if not check.passed]:
            raise FailedChecksError(failed, len(checks))
        step("seal")
        first = slice(_GOLDEN_ROWS)
        golden.write_tensors(folder, TensorGolden(_part(given, first), _part(answers, first)))
        report = Report(schema="seethrough.report/1", samples=len(next(iter(given.values()))), checks=checks)
        strict.write(folder / manifest.REPORT, report)
        origin = {"samples": "made up" if samples is None else samples.name}
        source = provenance.of_file(path, model, origin, ("onnx", "onnxruntime"))
        sealed = files.seal(folder, _manifest(inputs, outputs, report, source))
        files.verify(folder)
        golden.read_tensors(folder, sealed)
    return report


def _described(values: list[ort.NodeArg], path: Path) -> list[Tensor]:
    tensors = []
    for value in values:
        if value.type not in _DTYPES:
            raise ExportError(
                f"{path}: {value.name} is a {value.type}, which cannot be served; there are: {', '.join(_DTYPES)}"
            )
        if not value.shape or isinstance(value.shape[0], int):
            raise ExportError(
                f"{path}: the first axis of {value.name} {value.shape} must be the batch and free; export the model with "
                "a dynamic batch axis"
            )
        shape = [-1, *(size if isinstance(size, int) else -1 for size in value.shape[1:])]
        tensors.append(Tensor(name=value.name, dtype=_DTYPES[value.type], shape=shape))
    return tensors


def _made_up(inputs: list[Tensor], rows: int) -> dict[str, Array]:
    """Normal numbers; 0 and 1 for integers, which are an index or a count in nearly every model."""
    random = np.random.default_rng(0)
    given: dict[str, Array] = {}
    for tensor in inputs:
        if -1 in tensor.shape[1:]:
            raise ExportError(f"{tensor.name}: shape {tensor.shape} varies; give rows of real sizes with --samples")
        size = (rows, *tensor.shape[1:])
        made = random.normal(size=size) if tensor.dtype.startswith("float") else random.integers(0, 2, size)
        given[tensor.name] = made.astype(tensor.dtype)
    return given


def _read(path: Path, inputs: list[Tensor]) -> dict[str, Array]:
    given = arrays.read(path, [tensor.name for tensor in inputs])
    for tensor in inputs:
        array = given[tensor.name]
        if array.dtype != tensor.dtype or not tensor.fits(array.shape):
            raise ExportError(
                f"{path}: {tensor.name} is {array.dtype} {list(array.shape)}, the model takes {tensor.dtype} {tensor.shape}"
            )
    if len({len(array) for array in given.values()}) != 1 or not len(next(iter(given.values()))):
        raise ExportError(f"{path}: needs the same number of rows for each input, at least one")
    return given


def _run(session: ort.InferenceSession, given: Rows) -> dict[str, Array]:
    names = [value.name for value in session.get_outputs()]
    try:
        found = dict(zip(names, session.run(names, dict(given)), strict=True))
    except Exception as error:  # its own exception types share no base
        raise ExportError(f"ONNX Runtime fails on {len(next(iter(given.values())))} rows: {error}") from error
    rows = len(next(iter(given.values())))
    for name, array in found.items():
        if not array.ndim or len(array) != rows:
            raise ExportError(f"{name}: {rows} rows are answered with {list(array.shape)}, not with a row each")
    return found


def _alone_and_together(session: ort.InferenceSession, given: Rows, answers: Rows) -> list[Check]:
    rows = len(next(iter(given.values())))
    alone = [_run(session, _part(given, slice(row, row + 1))) for row in range(rows)]
    told = f"ONNX Runtime, each of {rows} rows by itself with all at once, in parts of the largest output"
    return [
        at_most(
            _ALONE,
            relative_difference(together, np.concatenate([answer[name] for answer in alone])),
            f"{name}: rows alone and in a batch",
            told,
        )
        for name, together in answers.items()
    ]


def _part(given: Rows, rows: slice) -> dict[str, Array]:
    return {name: array[rows] for name, array in given.items()}


def _manifest(inputs: list[Tensor], outputs: list[Tensor], report: Report, source: Provenance) -> TensorManifest:
    worst = max(check.measured for check in report.checks)
    return TensorManifest(
        schema="seethrough.bundle/1",
        kind="tensor",
        inputs=inputs,
        outputs=outputs,
        precisions=[
            TensorPrecision(
                name="fp32", engine="any", file=manifest.ONNX_MODEL, samples=report.samples, max_difference=worst
            )
        ],
        tolerance=TOLERANCE,
        provenance=source,
        files={manifest.ONNX_MODEL: ""},
    )
