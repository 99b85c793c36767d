"""What the answers to one raw picture a request must be, when all servers run the same graph.

Engines and batch sizes round differently, by some 1e-6 of a probability. A network with random weights answers almost the
same for every picture, and an absolute tolerance might pass any answer for any picture. So the tolerance is a small part of
the smallest difference between what two of the pictures must get: whatever it is, an answer to another picture is found out.
"""

from collections.abc import Callable

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from bench.loadgen import Judge
from proto import open_inference_pb2 as v2

# Of the smallest difference between two pictures' probabilities: an answer must be this near, and must be told from others.
_SHARE = 0.1
# Of the largest probability: what rounding makes of the answers of a deep network in float32.
_ROUNDING = 1e-5

Probabilities = NDArray[np.float32]
Decode = Callable[[bytes], Probabilities]
"""The probabilities in an answer; raises ValueError when there are none."""


def least_difference(expected: Probabilities) -> float:
    """Of the rows of `expected` [n, classes], how far the two that are nearest to each other differ, at their largest."""
    rows = expected.astype(np.float64)
    apart = np.abs(rows[:, None] - rows[None]).max(axis=-1)
    return float(apart[~np.eye(len(rows), dtype=bool)].min())


def tolerance(expected: Probabilities) -> float:
    """The largest absolute difference at which an answer to one of the pictures still counts as right.

    Raises ValueError when the pictures' answers are so near each other that rounding alone might exceed it.
    """
    allowed = _SHARE * least_difference(expected)
    if allowed < _ROUNDING * expected.max():
        raise ValueError(f"two pictures' answers differ by {allowed / _SHARE:.1e} only: choose others")
    return allowed


def expect(expected: Probabilities, decode: Decode, allowed: float) -> Judge:
    """Judges answers by the probabilities [n, classes] that request n must get."""

    def judge(request: int, answer: bytes) -> str:
        try:
            found = decode(answer)
        except ValueError as error:
            return str(error)
        if found.shape != expected[request].shape:
            return f"{found.size} probabilities instead of {expected[request].size}"
        difference = float(np.abs(found - expected[request]).max())
        # A NaN is not less than anything.
        return "" if difference <= allowed else f"probabilities differ by {difference:.1e}, more than {allowed:.1e}"

    return judge


def from_model_infer(answer: bytes) -> Probabilities:
    """The first output of a ModelInferResponse, float32 as raw bytes (Open Inference Protocol)."""
    contents = model_infer_response(answer).raw_output_contents
    if not contents:
        raise ValueError("the response has no raw_output_contents")
    return from_raw(contents[0])


def model_infer_response(answer: bytes) -> v2.ModelInferResponse:
    """The message; raises ValueError when it is none."""
    try:
        return v2.ModelInferResponse.FromString(answer)
    except DecodeError as error:
        raise ValueError(f"not a ModelInferResponse: {error}") from error


def from_raw(answer: bytes) -> Probabilities:
    """Bare float32 bytes, little-endian."""
    if len(answer) % 4:
        raise ValueError(f"{len(answer)} bytes are not float32")
    return np.frombuffer(answer, "<f4")
