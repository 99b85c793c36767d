"""Checking vector-Jacobian rules: what they append, run by both engines, against finite differences.

The differences are taken in double precision with ONNX's reference implementation, which shares no code with the engines:
what remains of the deviation is the float32 of the engines.
"""

import math
from collections.abc import Callable
from functools import cache

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import openvino
from numpy.typing import NDArray
from onnx.inliner import inline_selected_functions
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun
from onnx_ir.passes.common import ShapeInferencePass

from exporter.gradcam.backward import gradient, path
from exporter.gradcam.operators import Operators
from tests.exporter.graphs import parse

OLDEST, NEWEST = 18, 26  # opsets: the oldest that rules are written for, the newest that ONNX Runtime 1.31 loads

Floats = NDArray[np.float32]
Run = Callable[[Floats, Floats], list[Floats]]  # (x, seed) -> cotangent of x, y

_PICTURES = 2
_STEP = 1e-5


def check_against_differences(text: str, *opsets: int) -> None:
    """Asserts that the rules of the operators in `text`, a graph from x to y, agree with differences, on both engines.

    y, computed beside the gradient, must stay what it is. Of the gradient for 0 classes there is only the shape to agree
    on; ONNX Runtime alone is asked for it. OpenVINO, which takes its time to compile, gets the first opset only.
    """
    random = np.random.default_rng(0)
    opsets = opsets or (OLDEST, NEWEST)
    model = parse(f"g ({text}", opsets[0])
    x = spaced(random, (_PICTURES, *sizes(model.graph.input[0])))
    y, jacobian = by_differences(parse(f"g ({in_double_precision(text)}", opsets[0]), x)
    for opset, engine in [*((opset, on_onnx_runtime) for opset in opsets), (opsets[0], on_openvino)]:
        run = engine(with_gradient(parse(f"g ({text}", opset)))
        for classes in (3, 1, 0) if engine is on_onnx_runtime else (3, 1):
            seed = random.normal(size=(*y.shape[:1], classes, *y.shape[1:])).astype(np.float32)
            found, beside = run(x, seed)
            expected = np.einsum("nyx,nmy->nmx", jacobian, seed.reshape(*seed.shape[:2], jacobian.shape[1]))
            label = f"{engine.__name__}, opset {opset}, {classes} classes"
            expected = expected.reshape(*seed.shape[:2], *x.shape[1:])
            np.testing.assert_allclose(found, expected, 1e-4, 1e-5 * np.abs(jacobian).max(), err_msg=label)
            np.testing.assert_allclose(beside, y, 1e-4, 1e-5 * np.abs(y).max(), err_msg=f"y on {label}")


def on_onnx_runtime(model: onnx.ModelProto) -> Run:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return lambda x, seed: [np.asarray(output) for output in session.run(None, {"x": x, "seed": seed})]


def on_openvino(model: onnx.ModelProto) -> Run:
    program = openvino_core().read_model(model=model.SerializeToString())
    compiled = openvino_core().compile_model(program, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda x, seed: [np.asarray(output) for output in compiled([x, seed]).values()]


@cache
def openvino_core() -> openvino.Core:
    return openvino.Core()


def with_gradient(model: onnx.ModelProto) -> onnx.ModelProto:
    """With another input, `seed` f32 [N, M, ...], and the cotangent of x for it as the first output, before y."""
    program = ShapeInferencePass()(ir.from_proto(model)).model
    graph = program.graph
    x, y = graph.inputs[0], graph.outputs[0]
    seed = ir.val("seed", ir.DataType.FLOAT, ["N", "M", *sizes(model.graph.output[0])])
    graph.inputs.append(seed)
    found = gradient(Operators(graph, "gradient"), path(graph, x, y), y, seed, x)
    found.type = ir.TensorType(ir.DataType.FLOAT)
    graph.outputs[:] = [found, y]
    return ir.to_proto(program)


def by_differences(model: onnx.ModelProto, x: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """y [N, ...] and its Jacobian [N, elements of y, elements of x] for x [N, ...], of a model in double precision."""
    inlined = inline_selected_functions(model, [("", "Gelu")], inline_schema_functions=True)  # for its Erf
    reference = ReferenceEvaluator(inlined, new_ops=[Erf])
    pictures, elements = x.shape[0], int(np.prod(x.shape[1:]))
    nudges = _STEP * np.eye(elements).reshape(elements, 1, *x.shape[1:])
    (y,), (above,), (below,) = (
        reference.run(None, {"x": (x + nudge).reshape(-1, *x.shape[1:])}) for nudge in (0 * nudges[0], nudges, -nudges)
    )
    slopes: NDArray[np.float64] = np.subtract(above, below) / (2 * _STEP)
    return np.asarray(y), slopes.reshape(elements, pictures, -1).transpose(1, 2, 0)


def in_double_precision(text: str) -> str:
    return text.replace("float", "double").replace("stash_type = 1", "stash_type = 11")


class Erf(OpRun):
    """The reference implementation's own rounds to single precision."""

    op_domain = ""

    def _run(self, x: NDArray[np.float64]) -> tuple[NDArray[np.float64]]:
        return (np.vectorize(math.erf)(x),)


def spaced(random: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Values between -3.5 and 3.5 in random order, all of them apart from each other and from 0."""
    count = int(np.prod(shape))
    values = ((np.arange(count) - count / 2 + 0.3) * (7 / count)).astype(np.float32)
    return random.permutation(values).reshape(shape)


def weights(*shape: int) -> Floats:
    """Multiples of 0.1 between -2 and 2."""
    return np.random.default_rng(1).integers(-20, 20, shape).astype(np.float32) / np.float32(10)


def declared(name: str, values: Floats) -> str:
    """A constant in ONNX's text form: `float[2,3] name = {...}`."""
    shape = ",".join(map(str, values.shape))
    return f"float[{shape}] {name} = {{{', '.join(f'{value:.1f}' for value in values.flat)}}}"


def sizes(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    """All sizes but the batch's."""
    return tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim[1:])
