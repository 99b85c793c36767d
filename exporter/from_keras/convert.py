"""From Keras to ONNX.

tf2onnx copies a graph dozens of times while it converts and tidies it, weights included: 20 GB and two minutes for VGG16. So
the large weights do not travel with the graph. The model is traced as a function of the pixels and of those weights, and
they are put back into the ONNX graph at the end: 2.4 GB and five seconds, for a graph as fast as the other.
"""

import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import onnx
import tensorflow as tf
import tf2onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from exporter.errors import ExportError
from exporter.from_keras.ending import Ending, ending
from exporter.from_keras.model import answer
from exporter.gradcam.compiled import OPSET

LIBRARIES = ("tf2onnx", "onnx", "onnxruntime")  # those that leave their mark on a graph, beside Keras
# Elements from which a weight travels beside the graph: small ones are better inside, where they can be folded into others.
_LARGE = 1 << 16


@dataclass(frozen=True)
class Traced:
    """A model as a TensorFlow function of its input, for a classifier pixels u8 [N, H, W, C], and of its large weights."""

    function: Any
    signature: list[Any]
    weights: dict[str, Any]  # the large ones, by the name of their input

    @property
    def concrete(self) -> Any:
        """The function's one trace."""
        return self.function.get_concrete_function(*self.signature)

    def ending(self) -> Ending:
        """What kind of classifier it is; raises ExportError when it is none."""
        return ending(self.concrete.outputs[0])


def pixels_of(model: keras.Model) -> Any:
    """The signature of a classifier's input."""
    return input_of(model, "pixels")


def input_of(model: keras.Model, name: str) -> Any:
    """The signature of the model's input, to be called `name`."""
    return tf.TensorSpec(model.inputs[0].shape, model.inputs[0].dtype, name=name)


def trace(model: keras.Model) -> Traced:
    """Traces a classifier as it infers: pixels u8 [N, H, W, C] -> probabilities f32 [N, K]."""
    large = [weight for weight in model.variables if math.prod(weight.shape) >= _LARGE]
    return trace_as(model, "pixels", "probabilities", large)


def trace_as(model: keras.Model, takes: str, gives: str, large: Sequence[keras.Variable]) -> Traced:
    """Traces `model` as it infers, its input called `takes`, its output `gives`, the weights `large` beside it."""
    weights = {f"weights_{number}": weight for number, weight in enumerate(large)}
    inputs = [tf.TensorSpec(weight.shape, weight.dtype, name=name) for name, weight in weights.items()]

    def infer(given: Any, *values: Any) -> dict[str, Any]:
        with keras.StatelessScope(state_mapping=list(zip(large, values, strict=True))):
            return {gives: answer(model, given)}

    traced = Traced(tf.function(infer, autograph=False), [input_of(model, takes), *inputs], weights)
    with _functions_inlined():
        _ = traced.concrete
    return traced


@contextmanager
def _functions_inlined() -> Iterator[None]:
    """Keras compiles grouped convolutions by XLA, in functions of their own that tf2onnx cannot look into."""
    before = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(before)


def to_onnx(traced: Traced) -> onnx.ModelProto:
    """The model alone, of a classifier pixels u8 [N, H, W, C] -> probabilities f32 [N, K], or [N, 1] for one sigmoid.

    Raises ExportError when tf2onnx has no converter for one of its operations.
    """
    logging.getLogger("tf2onnx").setLevel(logging.CRITICAL)
    try:
        converted: onnx.ModelProto
        converted, _ = tf2onnx.convert.from_function(
            traced.function, input_signature=traced.signature, opset=OPSET, custom_op_handlers={"Erfc": (_erfc, [])}
        )
    except Exception as error:  # tf2onnx lets through whatever its converters raise
        raise ExportError(f"tf2onnx cannot convert the model: {error}") from error
    unknown = {node.op_type for node in converted.graph.node if not onnx.defs.has(node.op_type)}
    if unknown:  # it leaves what it does not know as it is
        raise ExportError(f"tf2onnx has no converter for the TensorFlow operation {', '.join(sorted(unknown))}")
    _put_back(converted.graph, _constants(traced))
    _protect_padding(converted.graph)
    return converted


def _erfc(context: Any, node: Any, name: str, _arguments: Any) -> None:
    """erfc(x) = 1 - erf(x), of which the exact GELU is made since TensorFlow 2.20; tf2onnx 1.17 does not know it."""
    one = context.make_const(f"{name}/one", np.float32(1))
    erf = context.make_node("Erf", node.input)
    context.remove_node(name)
    context.make_node("Sub", [one.output[0], erf.output[0]], name=name, outputs=node.output)


def _constants(traced: Traced) -> dict[str, NDArray[np.generic]]:
    """What the graph takes as inputs beside the pixels: by name, the large weights and what TensorFlow has captured.

    It captures tensors that are no variables, such as the mean of a Normalization layer.
    """
    captures = traced.concrete.graph.captures
    captured = {inside.name: outside.numpy() for outside, inside in captures if outside.dtype != tf.resource}
    return captured | {name: keras.ops.convert_to_numpy(weight) for name, weight in traced.weights.items()}


def _put_back(graph: onnx.GraphProto, constants: dict[str, NDArray[np.generic]]) -> None:
    """Makes initialisers of inputs, transposed already where the graph only wants them so."""
    for value in [value for value in graph.input if value.name in constants]:
        graph.input.remove(value)
    for node in list(graph.node):
        if node.op_type == "Transpose" and node.input[0] in constants:
            permutation = next((attribute.ints for attribute in node.attribute if attribute.name == "perm"), None)
            constants[node.output[0]] = np.transpose(constants[node.input[0]], permutation)
            graph.node.remove(node)
    used = {name for node in graph.node for name in node.input}
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items() if name in used)


def _protect_padding(graph: onnx.GraphProto) -> None:
    """Zeros around a map that is pooled become the smallest number above zero, which ONNX Runtime leaves alone.

    It merges a Pad of zeros into the pooling after it (Pad_Fusion, up to 1.31 at least), where padding never counts: wrong
    where all numbers of a window are negative, as in ResNet50V2, whose probabilities it changes by 0.08.
    """
    pooled = {node.input[0] for node in graph.node if node.op_type in ("MaxPool", "AveragePool")}
    zeros = {"", *(tensor.name for tensor in graph.initializer if not numpy_helper.to_array(tensor).any())}
    for node in graph.node:
        if node.op_type == "Pad" and node.output[0] in pooled and zeros.issuperset(node.input[2:3]):
            name = f"{node.output[0]}/almost_zero"
            graph.initializer.append(numpy_helper.from_array(np.array(np.finfo(np.float32).tiny), name))
            node.input[2:3] = [name]
