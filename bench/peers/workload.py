"""One model as the peers get it: its plain graph, a few pictures, and what must be answered to them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench import local_engine
from bench.loadgen import Calls, Judge, answers
from bench.local_engine import PREDICT
from bench.peers import limits
from bench.peers.limits import Form
from bundle import golden, manifest
from proto import open_inference_pb2 as v2

_EXACT = "fp32"


@dataclass(frozen=True)
class Workload:
    """A bundle MODELS/NAME/VERSION and pictures for it, of which each request carries one."""

    bundle: Path
    graph: Path  # the ONNX file that every peer serves: pixels -> probabilities, fp32
    forms: tuple[Form, ...]  # what can run it in this process, ONNX Runtime in fp32 first
    pixels: NDArray[np.uint8]  # [n, H, W, C]
    classes: int

    @property
    def name(self) -> str:
        """Of the model."""
        return self.bundle.parent.name

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one picture: height, width, channels."""
        return self.pixels.shape[1:]

    def judge(self, form: Form, decode: answers.Decode) -> Judge:
        """Compares answers with those of `form` in this process, one picture at a time.

        Raises ValueError when the pictures' answers are too near each other to be told apart.
        """
        engine = limits.compiled(form, threads=1)
        rows = [np.array(engine.run(local_engine.feeds(each[None]), PREDICT)[0]) for each in self.pixels]
        expected = np.concatenate(rows).astype(np.float32)
        return answers.expect(expected, decode, answers.tolerance(expected))


def read(bundle: Path) -> Workload:
    """The workload of a bundle. Raises BundleError when it is no image classifier's, or its folder not MODELS/NAME/VERSION."""
    bundle = bundle.resolve()
    described = manifest.read_classifier(bundle)
    exact = next(each for each in described.precisions if each.name == _EXACT)
    pixels = golden.read(bundle, described).pixels
    forms = tuple(limits.forms(bundle, described))
    return Workload(bundle, bundle / exact.predict_file, forms, pixels, len(described.labels))


@dataclass(frozen=True)
class Talk:
    """A way to send a picture and to get probabilities back."""

    calls: Callable[[Workload], Calls]
    decode: answers.Decode


def _tensors(workload: Workload) -> Calls:
    return _infer(workload, "UINT8", [1, *workload.shape], lambda picture: picture.tobytes())


def _byte_elements(workload: Workload) -> Calls:
    return _infer(workload, "BYTES", [1], lambda picture: picture.nbytes.to_bytes(4, "little") + picture.tobytes())


def _infer(workload: Workload, datatype: str, shape: list[int], raw: Callable[[NDArray[np.uint8]], bytes]) -> Calls:
    bodies = []
    for picture in workload.pixels:
        request = v2.ModelInferRequest(model_name=workload.name, raw_input_contents=[raw(picture)])
        request.inputs.add(name="pixels", datatype=datatype, shape=shape)
        request.outputs.add(name="probabilities")
        bodies.append(request.SerializeToString())
    return Calls(bodies)


def _posts(workload: Workload) -> Calls:
    headers = {"Content-Type": "application/octet-stream"}
    return Calls([each.tobytes() for each in workload.pixels], "/predict", "http", headers)


def _from_byte_element(answer: bytes) -> answers.Probabilities:
    response = answers.model_infer_response(answer)
    if response.raw_output_contents:
        return answers.from_raw(response.raw_output_contents[0][4:])
    if response.outputs and response.outputs[0].contents.bytes_contents:
        return answers.from_raw(response.outputs[0].contents.bytes_contents[0])
    raise ValueError("the response has no output")


# ModelInfer of the Open Inference Protocol, with the picture as a raw UINT8 tensor.
TENSORS = Talk(_tensors, answers.from_model_infer)
# ModelInfer with one element of BYTES each way: its length, then the pixels or the float32 probabilities.
BYTE_ELEMENTS = Talk(_byte_elements, _from_byte_element)
# HTTP with the bare pixels as body, answered with the bare probabilities.
POSTS = Talk(_posts, answers.from_raw)
