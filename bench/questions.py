"""The requests that load consists of, one image each, and what is wrong with the answers to them, if anything."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.loadgen import Calls, Judge, answers
from bench.local_engine import EXPLAIN, PREDICT, feeds
from proto import open_inference_pb2 as v2
from server.engine.base import Engine

_BYTES_LENGTH = 4  # in front of each element of a BYTES tensor, little-endian


def raw(model: str, pixels: NDArray[np.uint8], engine: Engine, heatmaps: float | None = None) -> Calls:
    """One ModelInfer call with each of `pixels` [N, H, W, C], whose answers must be what `engine` says.

    With `heatmaps`, a tolerance, each asks for the heatmap of its top class too. Raises ValueError when the answers to two of the
    pictures are so near each other that a mistake might not be seen.
    """
    bodies = raw_bodies(model, pixels, heatmaps=heatmaps is not None)
    return Calls(bodies, judge=_judge(pixels, engine, heatmaps))


def files(model: str, pictures: Sequence[bytes], pixels: NDArray[np.uint8], engine: Engine) -> Calls:
    """One ModelInfer call with each of the picture files, which decoded are `pixels` [N, H, W, C]. Raises ValueError as `raw`."""
    return Calls(file_bodies(model, pictures), judge=_judge(pixels, engine, None))


def raw_bodies(model: str, pixels: NDArray[np.uint8], *, heatmaps: bool) -> list[bytes]:
    """A serialised ModelInferRequest for each of `pixels` [N, H, W, C], with or without the heatmap of its top class."""
    bodies = []
    for image in pixels:
        request = v2.ModelInferRequest(model_name=model, raw_input_contents=[image.tobytes()])
        request.inputs.add(name="pixels", datatype="UINT8", shape=[1, *image.shape])
        for name in EXPLAIN if heatmaps else PREDICT:
            request.outputs.add(name=name)
        bodies.append(request.SerializeToString())
    return bodies


def file_bodies(model: str, pictures: Sequence[bytes]) -> list[bytes]:
    """A serialised ModelInferRequest for each of the picture files."""
    bodies = []
    for picture in pictures:
        element = len(picture).to_bytes(_BYTES_LENGTH, "little") + picture
        request = v2.ModelInferRequest(model_name=model, raw_input_contents=[element])
        request.inputs.add(name="image", datatype="BYTES", shape=[1])
        for name in PREDICT:
            request.outputs.add(name=name)
        bodies.append(request.SerializeToString())
    return bodies


def _judge(pixels: NDArray[np.uint8], engine: Engine, heatmaps: float | None) -> Judge:
    probabilities, maps = (np.array(each, np.float32) for each in engine.run(feeds(pixels), EXPLAIN))
    answered = answers.expect(probabilities, answers.from_model_infer, answers.tolerance(probabilities))
    if heatmaps is None:
        return answered
    allowed = heatmaps

    def explained(request: int, answer: bytes) -> str:
        return answered(request, answer) or _wrong_heatmap(answer, maps[request], allowed)

    return explained


def _wrong_heatmap(answer: bytes, expected: NDArray[np.float32], allowed: float) -> str:
    contents = v2.ModelInferResponse.FromString(answer).raw_output_contents
    if len(contents) != len(EXPLAIN) or len(contents[1]) != expected.nbytes:
        return f"no heatmap of {expected.size} cells"
    difference = float(np.abs(np.frombuffer(contents[1], "<f4").reshape(expected.shape) - expected).max())
    return "" if difference <= allowed else f"the heatmap differs by {difference:.1e}, more than {allowed:.1e}"
