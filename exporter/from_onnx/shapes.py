"""The shapes of all tensors of a graph, for a picture of fixed size and any number of them."""

from typing import Any

import onnx_ir as ir
from onnx_ir.passes.common import ShapeInferencePass

from exporter.from_onnx import agreement
from exporter.from_onnx.read import ImageInput
from exporter.from_onnx.running import session


def infer(model: ir.Model, image: ImageInput, batch: int | str = "N") -> None:
    """Gives all tensors of `model` the shapes that they have for `batch` pictures, as far as ONNX can tell, in place."""
    graph = model.graph
    graph.inputs[0].shape = ir.Shape([batch, *image.shape])
    for value in (*graph.outputs, *(output for node in graph for output in node.outputs)):
        value.shape = None
    ShapeInferencePass()(model)


def complete(model: ir.Model, image: ImageInput) -> None:
    """Measures the shapes that `infer` could not tell: sizes that are the same for two pictures and for three are fixed."""
    unknown = [value for node in model.graph for value in node.outputs if not known(value)]
    if not unknown:
        return
    inputs = agreement.probe(image)
    probed = model.clone()
    values = {value.name: value for node in probed.graph for value in node.outputs}
    probed.graph.outputs[:] = [values[value.name] for value in unknown]
    network = session(ir.to_proto(probed))
    two, three = (network.run(None, {image.name: inputs[:count]}) for count in (2, 3))
    for value, *found in zip(unknown, two, three, strict=True):
        value.shape = _common(*found)


def dependent(graph: ir.Graph) -> list[ir.Node]:
    """The operators whose outputs depend on the input of `graph`, in order; those with graphs inside may do."""
    values = set(graph.inputs)
    nodes = []
    for node in graph:
        inner = any(attribute.type is ir.AttributeType.GRAPH for attribute in node.attributes.values())
        if inner or any(value in values for value in node.inputs):
            values.update(node.outputs)
            nodes.append(node)
    return nodes


def known(value: ir.Value) -> bool:
    """Whether every size of `value` but the first is a number."""
    return value.shape is not None and all(isinstance(size, int) for size in list(value.shape)[1:])


def _common(one: Any, other: Any) -> ir.Shape | None:
    if len(one.shape) != len(other.shape):
        return None
    return ir.Shape([size if size == beside else None for size, beside in zip(one.shape, other.shape, strict=True)])
