"""Tiny ONNX classifiers as other tools write them, and bringing them in by the command line."""

import re
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import numpy_helper
from typer.testing import CliRunner, Result

from bundle import files
from bundle.manifest import Manifest
from exporter.__main__ import app

# Whatever a body names of these becomes an initializer of this shape, with random values.
WEIGHTS = {
    "k3": (4, 3, 3, 3), "k1": (4, 1, 3, 3), "kd": (4, 1, 3, 3), "b4": (4,), "s4": (4,), "v4": (4,), "k11": (4, 4, 1, 1),
    "w": (4, 3), "w1": (4, 1), "b": (3,), "w192": (192, 3), "w256": (256, 3), "w33": (3, 3),
}  # fmt: skip

BACKBONE = "c = Conv<pads = [1, 1, 1, 1]>(x, k3, b4) r = Relu(c) g = GlobalAveragePool(r) f = Flatten(g) "
SCORES = BACKBONE + "y = Gemm(f, w, b)"
SOFTMAX = BACKBONE + "z = Gemm(f, w, b) y = Softmax(z)"


def model(
    body: str,
    takes: str = "float[N,3,8,8] x",
    gives: str = "float[N,3] y",
    opset: int = 18,
    domains: str = "",
) -> onnx.ModelProto:
    """The graph `body`, in ONNX's text form, with those of WEIGHTS that it names."""
    ir_version = onnx.helper.find_min_ir_version_for([onnx.helper.make_opsetid("", opset)])
    text = f'<ir_version: {ir_version}, opset_import: ["": {opset}{domains}]>\ng ({takes}) => ({gives}) {{ {body} }}'
    made = onnx.parser.parse_model(text)
    random = np.random.default_rng(0)
    for name, shape in WEIGHTS.items():
        if re.search(rf"\b{name}\b", body):
            values = random.uniform(0.5, 1.5, shape) if name in ("s4", "v4") else random.normal(size=shape)
            made.graph.initializer.append(numpy_helper.from_array(values.astype(np.float32), name))
    return made


def write(folder: Path, made: onnx.ModelProto, labels: int = 3) -> Path:
    """Writes `made` and a file of labels into `folder`."""
    path = folder / "model.onnx"
    onnx.save(made, path)
    (folder / "labels.txt").write_text("".join(f"class {number}\n" for number in range(labels)))
    return path


def bring(folder: Path, made: onnx.ModelProto, *options: str, preprocess: str = "unit", labels: int = 3) -> Result:
    """`exporter onnx` on `made`, into the bundle `folder`/m/1."""
    path = write(folder, made, labels)
    return run(
        "onnx",
        str(path),
        "--labels",
        str(folder / "labels.txt"),
        "--preprocess",
        preprocess,
        "--out",
        str(bundle(folder)),
        *options,
    )


def brought(folder: Path, made: onnx.ModelProto, *options: str, preprocess: str = "unit", labels: int = 3) -> Manifest:
    """The manifest of the bundle made of a model that must be accepted."""
    answer = bring(folder, made, *options, preprocess=preprocess, labels=labels)
    assert answer.exit_code == 0, answer.output
    return files.verify_classifier(bundle(folder))


def refused(folder: Path, made: onnx.ModelProto, *options: str, preprocess: str = "unit", labels: int = 3) -> str:
    """The one line that says why a model is not accepted."""
    answer = bring(folder, made, *options, preprocess=preprocess, labels=labels)
    assert answer.exit_code == 1, answer.output
    assert len(answer.stderr.splitlines()) == 1
    assert not bundle(folder).exists()
    return answer.stderr


def bundle(folder: Path) -> Path:
    """Where `bring` puts the bundle."""
    return folder / "m" / "1"


def predicted(folder: Path, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The bundle's probabilities."""
    session = ort.InferenceSession(bundle(folder) / "predict.onnx", providers=["CPUExecutionProvider"])
    found: NDArray[np.float32] = session.run(None, {"pixels": pixels})[0]
    return found


def given(folder: Path, inputs: NDArray[np.generic]) -> NDArray[np.float32]:
    """What the file itself answers."""
    session = ort.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    found: NDArray[np.float32] = session.run(None, {session.get_inputs()[0].name: inputs})[0]
    return found


def run(*arguments: str) -> Result:
    """The exporter's command line."""
    return CliRunner().invoke(app, list(arguments))


def pictures(*shape: int) -> NDArray[np.uint8]:
    """Random pixels."""
    return np.random.default_rng(1).integers(0, 256, shape, np.uint8)
