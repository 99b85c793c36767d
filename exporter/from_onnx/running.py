"""Running a network by itself: numbers in, one row of numbers for each picture out."""

import re

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray

from exporter.errors import ExportError
from exporter.from_onnx.read import ImageInput

_BATCH = 32
_FATAL = 4  # errors are raised, and told in our words


class Network:
    """One output of a model on ONNX Runtime's CPU provider."""

    def __init__(self, model: onnx.ModelProto, image: ImageInput, output: str) -> None:
        """Raises ExportError, with its reason, when ONNX Runtime does not take the model."""
        self.model = model
        self.image = image
        self.output = output
        self._session = session(model)

    def __call__(self, inputs: NDArray[np.generic]) -> NDArray[np.float32]:
        """Inputs [N, *image.shape] of the model's type -> f32 [N, K], K numbers a picture.

        Raises ExportError when the model fails, or does not answer with N rows.
        """
        size = self.image.batch or _BATCH
        return np.concatenate([self._rows(inputs[start : start + size]) for start in range(0, len(inputs), size)])

    def _rows(self, part: NDArray[np.generic]) -> NDArray[np.float32]:
        """The answers for at most a batch, filled up where the model takes only a full one."""
        missing = (self.image.batch or len(part)) - len(part)
        padded = np.concatenate([part, np.repeat(part[-1:], missing, axis=0)])
        try:
            found = self._session.run([self.output], {self.image.name: padded})[0]
        except Exception as error:  # its own exception types share no base
            raise ExportError(f"ONNX Runtime fails on a batch of {len(padded)}: {_brief(error)}") from error
        if found.size % len(padded):
            raise ExportError(f"a batch of {len(padded)} pictures is answered with {list(found.shape)} numbers")
        return np.asarray(found, np.float32).reshape(len(padded), -1)[: len(part)]


def session(model: onnx.ModelProto) -> ort.InferenceSession:
    """`model` on ONNX Runtime's CPU provider; raises ExportError with its reason when it does not take it."""
    options = ort.SessionOptions()
    options.log_severity_level = _FATAL
    try:
        return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its own exception types share no base
        raise ExportError(f"ONNX Runtime cannot run the model: {_brief(error)}") from error


def _brief(error: Exception) -> str:
    """ONNX Runtime's reason in one line, without the places in its own sources."""
    reason = " ".join(str(error).split(" : ")[-1].split())
    if found := re.search(r"running (\w+) node\. Name:'([^']*)'", reason):
        return f"operator {found[1]} (node {found[2]!r}) does not fit"
    return reason
