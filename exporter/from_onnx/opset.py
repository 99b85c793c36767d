"""The version of the operators: not so old that Grad-CAM cannot be written in it, nor so new that no engine knows it."""

import onnx
import onnx.version_converter

from exporter.errors import ExportError
from exporter.gradcam.compiled import OPSET

NEWEST = 26  # the last that ONNX Runtime 1.31 knows


def lowered(model: onnx.ModelProto) -> onnx.ModelProto:
    """`model` in a version that ONNX Runtime can run; the same object when it is one already.

    Raises ExportError when it uses something that older versions do not have.
    """
    return model if version(model) <= NEWEST else _converted(model, NEWEST)


def raised(model: onnx.ModelProto) -> onnx.ModelProto:
    """`model` in a version in which Grad-CAM can be written; the same object when it is one already.

    Raises ExportError when one of its operators has no counterpart.
    """
    return model if version(model) >= OPSET else _converted(model, OPSET)


def version(model: onnx.ModelProto) -> int:
    """The version of the standard operators in `model`."""
    return next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))


def file_format(model: onnx.ModelProto) -> int:
    """The IR version of a file for the operators of `model`: as old as they allow, so that all engines know it."""
    return int(onnx.helper.find_min_ir_version_for(model.opset_import, ignore_unknown=True))


def _converted(model: onnx.ModelProto, wanted: int) -> onnx.ModelProto:
    try:
        converted: onnx.ModelProto = onnx.version_converter.convert_version(model, wanted)
    except Exception as error:  # the converter lets through whatever its C++ raises
        raise ExportError(
            f"ONNX cannot convert opset {version(model)} to {wanted}: {' '.join(str(error).split())}; export the model "
            f"with opset {OPSET} to {NEWEST}"
        ) from error
    converted.ir_version = file_format(converted)
    return converted
