"""From Keras to ONNX, and back to the names that Keras uses.

tf2onnx folds and fuses as it converts (a batch normalisation disappears into its convolution), so the names in the two graphs
have no dependable relation. Layers and tensors are therefore matched by what they compute: on real samples, the tensor that
a layer's output became has its values.
"""

import logging
from dataclasses import dataclass

import keras
import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import tensorflow as tf
import tf2onnx
from numpy.typing import NDArray
from onnx_ir.passes.common import ShapeInferencePass

from exporter.errors import ExportError
from exporter.gradcam.compiled import OPSET
from exporter.gradcam.feature_map import as_map

# The largest difference between a layer's output and a tensor that is the same, relative to the largest value.
_SAME = 1e-4


def to_onnx(model: keras.Model) -> onnx.ModelProto:
    """The classifier alone: pixels u8 [N, H, W, C] -> probabilities f32 [N, K], or [N, 1] for one sigmoid.

    Raises ExportError when tf2onnx has no converter for one of its operations.
    """
    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    signature = [tf.TensorSpec([None, *model.input_shape[1:]], tf.uint8, name="pixels")]
    function = tf.function(
        lambda pixels: {"probabilities": model(pixels, training=False)}, input_signature=signature, autograph=False
    )
    try:
        converted: onnx.ModelProto = tf2onnx.convert.from_function(function, input_signature=signature, opset=OPSET)[0]
    except Exception as error:  # tf2onnx lets through whatever its converters raise
        raise ExportError(f"tf2onnx cannot convert the model: {error}") from error
    return converted


@dataclass(frozen=True)
class Matches:
    """Which spatial maps of a Keras model and of its ONNX graph are the same."""

    tensors: dict[str, list[str]]  # layer -> the tensors with its output's values, in the order of execution

    def tensor_of(self, layer: str) -> str:
        """The tensor that the output of `layer` became; raises ExportError naming the layers that can be chosen."""
        if not self.tensors.get(layer):
            raise ExportError(
                f"--layer {layer}: no layer of this name has a spatial map as its output that the ONNX graph computes "
                f"too; choose one of {', '.join(name for name, found in self.tensors.items() if found)}"
            )
        return self.tensors[layer][0]

    def layer_of(self, tensor: str) -> str:
        """The first layer whose output became `tensor`; raises ExportError when it lies inside a layer."""
        for layer, tensors in self.tensors.items():
            if tensor in tensors:
                return layer
        raise ExportError(f"the feature map {tensor!r} is not the output of any layer; choose one with --layer")


def match(model: keras.Model, converted: onnx.ModelProto, pixels: NDArray[np.uint8]) -> Matches:
    """Compares all spatial maps of both on `pixels` u8 [N, H, W, C]."""
    layers = _layer_outputs(model, pixels)
    tensors = _tensor_values(converted, pixels)
    return Matches(
        {layer: [name for name, value in tensors.items() if _same(value, output)] for layer, output in layers.items()}
    )


def _same(value: NDArray[np.float32], output: NDArray[np.float32]) -> bool:
    return value.shape == output.shape and bool(np.abs(value - output).max() <= _SAME * np.abs(output).max())


def _layer_outputs(model: keras.Model, pixels: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    layers = [layer for layer in model.layers if len(layer.output.shape) == 4 and layer.output.dtype == "float32"]
    outputs = keras.Model(model.inputs[0], [layer.output for layer in layers])(pixels, training=False)
    return {layer.name: np.asarray(output) for layer, output in zip(layers, outputs, strict=True)}


def _tensor_values(converted: onnx.ModelProto, pixels: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    """The values of all spatial maps of the graph by name, as [N, h, w, C]."""
    program = ShapeInferencePass()(ir.from_proto(converted)).model
    maps = [found for node in program.graph for value in node.outputs if (found := as_map(value)) is not None]
    program.graph.outputs[:] = [found.tensor for found in maps]
    session = ort.InferenceSession(ir.to_proto(program).SerializeToString(), providers=["CPUExecutionProvider"])
    values = session.run(None, {"pixels": pixels})
    return {
        found.tensor.name or "": np.moveaxis(value, found.channel_axis, -1)
        for found, value in zip(maps, values, strict=True)
    }
