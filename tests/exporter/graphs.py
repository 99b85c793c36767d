"""Tiny ONNX graphs for the tests, written in ONNX's own text form, and running them."""

import numpy as np
import onnx
import onnx.parser
import onnxruntime as ort
from numpy.typing import NDArray

Array = NDArray[np.generic]


def parse(graph: str, opset: int = 18) -> onnx.ModelProto:
    """A model from the text of its graph (https://onnx.ai/onnx/repo-docs/Syntax.html)."""
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": {opset}]>\n{graph}')
    onnx.checker.check_model(model)
    return model


def run(model: onnx.ModelProto, **inputs: Array) -> list[NDArray[np.float32]]:
    """All outputs of `model` on ONNX Runtime's CPU provider."""
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    outputs: list[NDArray[np.float32]] = session.run(None, inputs)
    return outputs


def every_row(rows: int, *targets: int) -> NDArray[np.int64]:
    """The same targets for each of `rows` pictures: int64 [rows, len(targets)]."""
    return np.tile(np.array(targets, np.int64), (rows, 1))
