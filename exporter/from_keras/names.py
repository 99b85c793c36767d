"""Which tensor of the ONNX graph is the output of which layer.

tf2onnx folds and fuses as it converts (a batch normalisation disappears into its convolution), so the names in the two graphs
have no dependable relation. Layers and tensors are therefore matched by what they compute: on a few pictures, the tensor that
a layer's output became has its values.

The maps of a large network are gigabytes, and hundreds of them on either side have the same shape. Neither side therefore
keeps them: as the network runs, each map is reduced to a fingerprint of a few hundred numbers, and those are compared.
"""

import difflib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import tensorflow as tf
from numpy.typing import NDArray
from onnx_ir.passes.common import ShapeInferencePass

from bundle.run import KERAS_MODEL
from exporter.errors import ExportError
from exporter.from_keras import model
from exporter.from_keras.convert import to_onnx, trace
from exporter.from_keras.taps import tapped
from exporter.gradcam.feature_map import Map, as_map
from exporter.gradcam.operators import Operators, ints

# The largest difference between a layer's output and a tensor that is the same, relative to the largest value.
_SAME = 1e-4
_PLACES = 512  # of a map, in a fingerprint
_COMPARED = 4  # pictures
_LISTED = 20  # layers in an error message

Shape = tuple[int, int, int]  # height, width, channels
Fingerprint = NDArray[np.float32]  # [N, places + 2]: the values at fixed random places, smallest, largest


@dataclass(frozen=True)
class LayerNames:
    """Which spatial maps of a Keras model and of its ONNX graph are the same.

    A layer inside a model inside the model has a path, "backbone/relu"; its own name alone will do where it is the only one.
    """

    tensors: dict[str, list[str]]  # path of a layer -> the tensors with its output's values, in the order of execution
    order: list[str]  # all spatial maps of the graph, in the order of execution

    def tensor_of(self, layer: str) -> str:
        """The tensor that the output of `layer` became; raises ExportError naming the layers that can be chosen."""
        path = self.path_of(layer)
        if not self.tensors[path]:
            raise ExportError(f"--layer {layer}: the ONNX graph does not compute its output, {self._choices(layer)}")
        return self.tensors[path][0]

    def layer_of(self, tensor: str) -> str:
        """The first layer whose output became `tensor`; raises ExportError when it lies inside a layer."""
        for layer, tensors in self.tensors.items():
            if tensor in tensors:
                return layer
        before = set(self.order[: self.order.index(tensor)] if tensor in self.order else self.order)
        nearest = [layer for layer, tensors in self.tensors.items() if before.intersection(tensors)]
        told = f", for example --layer {nearest[-1]}, the last one before it" if nearest else ""
        raise ExportError(f"the feature map {tensor!r} is not the output of any layer; choose one{told}")

    def path_of(self, layer: str) -> str:
        """The path of the layer of this path or name; raises ExportError when it is none, or the name of several."""
        if layer in self.tensors:
            return layer
        found = [path for path in self.tensors if path.endswith(f"/{layer}")]
        if len(found) > 1:
            raise ExportError(f"--layer {layer}: several layers have this name, choose one of {', '.join(found)}")
        if not found:
            raise ExportError(
                f"--layer {layer}: no layer of this name has a spatial map as its output, {self._choices(layer)}"
            )
        return found[0]

    def _choices(self, layer: str) -> str:
        names = [path for path, found in self.tensors.items() if found]
        if len(names) <= _LISTED:
            return f"choose one of {', '.join(names)}"
        return f"choose another, for example {', '.join(_nearest(layer, names))}; `python -m exporter layers` lists all"


def match(network: keras.Model, converted: onnx.ModelProto, pixels: NDArray[np.uint8]) -> LayerNames:
    """Compares all spatial maps of both on the first few of `pixels` u8 [N, H, W, C]."""
    pixels = pixels[:_COMPARED]
    tensors: dict[Shape, list[tuple[str, Fingerprint]]] = {}
    maps = _tensors(converted, pixels)
    for name, shape, fingerprint in maps:
        tensors.setdefault(shape, []).append((name, fingerprint))
    return LayerNames(
        {
            layer: [name for name, found in tensors.get(shape, []) if _same(found, fingerprint)]
            for layer, shape, fingerprint in _layers(network, pixels)
        },
        [name for name, _, _ in maps],
    )


def graph_and_names(path: Path) -> tuple[onnx.ModelProto, LayerNames]:
    """The graph and the names of the model in a run folder or a .keras file; raises ExportError when it is no classifier.

    Noise takes the place of pictures: every layer has something to say to it.
    """
    network = model.load(path / KERAS_MODEL if path.is_dir() else path)
    graph = to_onnx(trace(network))
    pixels = np.random.default_rng(0).integers(0, 256, (_COMPARED, *network.inputs[0].shape[1:]), np.uint8)
    return graph, match(network, graph, pixels)


def _nearest(layer: str, names: Iterable[str]) -> list[str]:
    last = {name.rpartition("/")[2]: name for name in names}
    return [last[name] for name in difflib.get_close_matches(layer, last, n=5, cutoff=0.3) or list(last)[-5:]]


def _same(found: Fingerprint, expected: Fingerprint) -> bool:
    return bool(np.abs(found - expected).max() <= _SAME * np.abs(expected).max())


def _places(shape: tuple[int, ...]) -> NDArray[np.int64]:
    """The places of a map of this shape, flattened, that are part of its fingerprint; the same at every call."""
    size = math.prod(shape)
    return np.unique(np.random.default_rng(size).integers(0, size, _PLACES))


def _layers(network: keras.Model, pixels: NDArray[np.uint8]) -> list[tuple[str, Shape, Fingerprint]]:
    """Path, shape and fingerprint of every layer whose output is a map, in the order of execution.

    One picture at a time, as Keras keeps all maps until the model has run. Of a layer that is used several times, the first
    time counts.
    """
    taken: list[dict[str, tuple[Shape, Fingerprint]]] = []

    def tap(path: str, output: Any) -> Any:
        if len(getattr(output, "shape", ())) == 4 and output.dtype == tf.float32:
            taken[-1].setdefault(path, (tuple(output.shape[1:]), _fingerprint(output.numpy()[0])))
        return output

    with tapped(tap):
        for picture in pixels:
            taken.append({})
            model.answer(network, picture[None])
    return [(path, shape, np.stack([each[path][1] for each in taken])) for path, (shape, _) in taken[0].items()]


def _fingerprint(output: NDArray[np.float32]) -> Fingerprint:
    """The fingerprint [places + 2] of a map [h, w, C]."""
    return np.concatenate([output.ravel()[_places(output.shape)], [output.min(), output.max()]])


def _tensors(converted: onnx.ModelProto, pixels: NDArray[np.uint8]) -> list[tuple[str, Shape, Fingerprint]]:
    """Name, shape and fingerprint of all spatial maps of the graph, in the order of execution."""
    program = ShapeInferencePass()(ir.from_proto(converted)).model
    graph = program.graph
    maps = [found for node in graph for value in node.outputs if (found := as_map(value)) is not None]
    op = Operators(graph, "fingerprint")
    graph.outputs[:] = [_fingerprint_node(op, found) for found in maps]
    session = ort.InferenceSession(ir.to_proto(program).SerializeToString(), providers=["CPUExecutionProvider"])
    values = session.run(None, {"pixels": pixels})
    return [
        (found.tensor.name or "", (found.height, found.width, found.channels), value)
        for found, value in zip(maps, values, strict=True)
    ]


def _fingerprint_node(op: Operators, found: Map) -> ir.Value:
    """The fingerprint of a map, as ONNX operators."""
    shape = found.height, found.width, found.channels
    flat = op.Reshape(found.tensor, ints(0, math.prod(shape)))
    axis = ints(1)
    figures = [reduce(flat, axis, keepdims=1) for reduce in (op.ReduceMin, op.ReduceMax)]
    return op.Concat(op.Gather(flat, _stored(found, _places(shape)), axis=1), *figures, axis=1)


def _stored(found: Map, places: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where the `places` of a map [h, w, C] lie in a tensor that has the channels first."""
    if found.channel_axis == 3:
        return places
    row, column, channel = np.unravel_index(places, (found.height, found.width, found.channels))
    return np.asarray(np.ravel_multi_index((channel, row, column), (found.channels, found.height, found.width)))
