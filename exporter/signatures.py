"""Whether the files of a bundle take and give exactly what the manifest says."""

from pathlib import Path
from typing import Any

import onnx
import onnxruntime as ort

from bundle.manifest import Tensor
from exporter.report import Check, none_of

_ONNX_TYPES = {"tensor(uint8)": "uint8", "tensor(int64)": "int64", "tensor(float)": "float32"}


def check_onnx(path: Path, session: ort.InferenceSession, inputs: list[Tensor], outputs: list[Tensor]) -> list[Check]:
    """The file against the ONNX standard, and its inputs and outputs against the manifest's."""
    try:
        onnx.checker.check_model(str(path), full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        problems = [str(error)]
    else:
        problems = []
    found = (
        [_from_onnx(value) for value in session.get_inputs()],
        [_from_onnx(value) for value in session.get_outputs()],
    )
    return [
        none_of(problems, "ONNX standard", "model.onnx by ONNX's own checker, shapes and types inferred"),
        none_of(_deviations(found, (inputs, outputs)), "ONNX signature", "model.onnx with the manifest"),
    ]


def check_saved_model(signature: Any, inputs: list[Tensor], outputs: list[Tensor]) -> Check:
    """Inputs and outputs of the SavedModel's `signature` against the manifest's."""
    found = (
        [_from_spec(name, spec) for name, spec in signature.structured_input_signature[1].items()],
        [_from_spec(name, spec) for name, spec in signature.structured_outputs.items()],
    )
    problems = _deviations(found, (inputs, outputs))
    return none_of(problems, "SavedModel signature", "saved_model's serving_default with the manifest")


Tensors = tuple[list[tuple[str, str, list[int]]], list[tuple[str, str, list[int]]]]


def _deviations(found: Tensors, expected: tuple[list[Tensor], list[Tensor]]) -> list[str]:
    return [
        f"{role} are {sorted(is_)}, not {sorted(want)}"
        for role, is_, tensors in zip(("inputs", "outputs"), found, expected, strict=True)
        if sorted(is_) != sorted(want := [(tensor.name, tensor.dtype, tensor.shape) for tensor in tensors])
    ]


def _from_onnx(value: Any) -> tuple[str, str, list[int]]:
    shape = [size if isinstance(size, int) else -1 for size in value.shape]
    return value.name, _ONNX_TYPES.get(value.type, value.type), shape


def _from_spec(name: str, spec: Any) -> tuple[str, str, list[int]]:
    return name, spec.dtype.name, [-1 if size is None else size for size in spec.shape]
