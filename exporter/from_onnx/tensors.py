"""Any ONNX model that takes no images, as a bundle: the file as it is, compared on rows of its user or on made-up ones."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from bundle import arrays
from bundle.manifest import Tensor
from exporter import tensors
from exporter.errors import ExportError
from exporter.from_onnx import opset, provenance, read, running
from exporter.report import Report
from exporter.tensors import Array, TensorCandidate

STEPS = ("read the model", *tensors.STEPS)


def export(path: Path, samples: Path | None, rows: int, out: Path, step: Callable[[str], None]) -> Report:
    """Makes the bundle `out` of the ONNX file at `path`; `step` is called with each of STEPS as it begins.

    `samples` is an .npz file with an array [S, ...] for each input; without it, `rows` rows are made up. Raises ExportError
    when the model has an input or output without a free first axis or of a type that cannot be served, or when rows are
    answered differently alone and in a batch.
    """
    step("read the model")
    model = opset.lowered(read.load(path))
    session = running.session(model)
    inputs, _ = tensors.signature(session)
    origin = {"samples": "made up" if samples is None else samples.name}
    candidate = TensorCandidate(
        graph=model,
        session=session,
        rows=_made_up(inputs, rows) if samples is None else _read(samples, inputs),
        expected=None,
        reference=path.name,
        labels=[],
        preprocess=None,
        engine="any",
        provenance=provenance.of_file(path, model, origin, ("onnx", "onnxruntime")),
    )
    return tensors.export(candidate, out, step)


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
