"""A classifier cut at its feature map, so that each half can be run by itself.

    body   pixels u8 [N, H, W, C]                   -> map f32
    head   pixels, map, seed f32 [N, M, K]          -> gradient f32 [N, M, *map], of the scores that `seed` asks about
    exact  pixels, map f64                          -> scores f64 [N, K]

(the head takes pixels because, where a layer was chosen that not everything passes, part of the answer goes past the map).
The gradient is made by the rules alone, exporter.gradcam.backward, without the shortcuts that the bundle's graph takes.
"""

import math
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun
from onnx_ir.passes.common import RemoveUnusedNodesPass, ShapeInferencePass

from exporter.from_onnx import floats
from exporter.from_onnx.running import session
from exporter.gradcam import ending
from exporter.gradcam.backward import gradient, path
from exporter.gradcam.feature_map import as_map
from exporter.gradcam.operators import Operators


class Head:
    """What follows the tensor `name`, the feature map, in the classifier `graph`."""

    def __init__(self, graph: onnx.ModelProto, name: str) -> None:
        program = ShapeInferencePass()(ir.from_proto(graph)).model
        op = Operators(program.graph, "reference")
        end = ending.find(op, program.graph)
        made = next(value for node in program.graph for value in node.outputs if value.name == name)
        found_map = as_map(made)
        assert found_map is not None, f"{name!r} is no feature map"  # noqa: S101  # `explain` has taken it
        self.channel_axis = found_map.channel_axis
        taken = ir.Value(name="map", shape=made.shape, type=made.type)
        made.replace_all_uses_with(taken)
        seed = ir.val("seed", ir.DataType.FLOAT, ["N", "M", end.labels])
        found = gradient(op, path(program.graph, taken, end.score), end.score, seed, taken)
        pixels = program.graph.inputs[0]
        program.graph.inputs.extend([taken, seed])
        self._body = session(ir.to_proto(_part(program, [pixels], [made])))
        self._backward = session(ir.to_proto(_part(program, [pixels, taken, seed], [found])))
        exact = _part(program, [pixels, taken], [end.score])
        floats.convert(exact, ir.DataType.DOUBLE)
        self._exact = ReferenceEvaluator(ir.to_proto(exact), new_ops=[Erf, Gelu])

    def map(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The feature map of pixels u8 [N, H, W, C]: f32, as the graph has it."""
        found: NDArray[np.float32] = self._body.run(None, {"pixels": pixels})[0]
        return found

    def gradient(
        self, pixels: NDArray[np.uint8], features: NDArray[np.float32], seed: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Of the scores that `seed` f32 [N, M, K] weighs, with respect to the map `features`: f32 [N, M, *map]."""
        feeds = {"pixels": pixels, "map": features, "seed": seed}
        found: NDArray[np.float32] = self._backward.run(None, feeds)[0]
        return found

    def scores(self, pixels: NDArray[np.uint8], features: NDArray[np.float64]) -> NDArray[np.float64]:
        """The scores f64 [N, K] for the map `features`, computed in double precision by ONNX's own Python."""
        answers: Any = self._exact.run(None, {"pixels": pixels, "map": features})
        found: NDArray[np.float64] = answers[0]
        return found


class Erf(OpRun):
    """The error function in double precision; ONNX's own rounds to float32. The evaluator goes by the class's name."""

    op_domain = ""

    def _run(self, x: NDArray[np.float64]) -> tuple[NDArray[np.float64]]:
        return (_erf(x),)


class Gelu(OpRun):
    """The same for GELU, which is made of it (Hendrycks & Gimpel, arXiv 1606.08415), or of a tanh that comes near it."""

    op_domain = ""

    def _run(self, x: NDArray[np.float64], approximate: str = "none") -> tuple[NDArray[np.float64]]:
        if approximate == "tanh":
            return (x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2,)
        return (x * (1 + _erf(x / math.sqrt(2))) / 2,)


_erf = np.vectorize(math.erf, otypes=[np.float64])


def _part(program: ir.Model, inputs: list[ir.Value], outputs: list[ir.Value]) -> ir.Model:
    """A copy of `program` that leads from `inputs`, of those that it has, to `outputs`."""
    program.graph.outputs[:] = outputs
    part = program.clone()
    names = {value.name for value in inputs}
    RemoveUnusedNodesPass()(part)
    part.graph.inputs[:] = [value for value in part.graph.inputs if value.name in names]
    return part
