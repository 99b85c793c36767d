"""How people call the tensors of an ONNX graph: by the name of the operator that makes them, or by their own."""

from collections.abc import Mapping
from dataclasses import dataclass

import onnx

from exporter.errors import ExportError

_LISTED = 10


@dataclass(frozen=True)
class NodeNames:
    """The tensors of a graph; a layer is a node, or a tensor whose node has no name."""

    tensors: Mapping[str, str]  # name of a layer -> its first output

    def tensor_of(self, layer: str) -> str:
        """The tensor that `layer` puts out, or of that name itself; raises ExportError for an unknown name."""
        if layer in self.tensors:
            return self.tensors[layer]
        if layer in self.tensors.values():
            return layer
        last = ", ".join(list(self.tensors)[-_LISTED:])
        raise ExportError(
            f"--layer {layer}: the model has no node or tensor of this name; `python -m exporter layers MODEL` lists those to "
            f"choose from. The last ones are {last}"
        )

    def layer_of(self, tensor: str) -> str:
        """The node that puts out `tensor`; raises ExportError when that is no node of the file."""
        for layer, output in self.tensors.items():
            if output == tensor:
                return layer
        raise ExportError(
            f"the only spatial map that the whole answer passes is {tensor!r}, the picture before it enters the network: there "
            "is no layer that could explain the answer. Networks with convolutions whose output everything passes have one"
        )


def of(graph: onnx.GraphProto) -> NodeNames:
    """The names in `graph`."""
    return NodeNames({node.name or node.output[0]: node.output[0] for node in graph.node})
