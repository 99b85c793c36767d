"""Any number of pictures at a time.

Many files take exactly one picture: the exporter was shown one, and wrote its number into the graph. Servers gather pictures
into batches, so the number is made free again. It hides in few places: the shapes that tensors are reshaped to, constants that
are put beside a tensor (the class token of a transformer), and a Squeeze of all axes of size 1, which takes the batch with them.
"""

import math
from dataclasses import replace

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from onnx_ir.passes.common import RemoveUnusedNodesPass

from exporter.errors import ExportError
from exporter.from_onnx import agreement, shapes
from exporter.from_onnx.read import ImageInput
from exporter.from_onnx.running import Network
from exporter.gradcam.operators import Operators, ints


def free(model: ir.Model, image: ImageInput, expected: NDArray[np.float32]) -> None:
    """Makes the batch of `model` free, and its other sizes those of `image`, in place.

    `expected` [P, K] is what the file answers to `agreement.probe`. Raises ExportError when the graph cannot be brought to
    answer a batch like its pictures one by one.
    """
    shapes.infer(model, image)
    _free_squeezes(model.graph)
    RemoveUnusedNodesPass()(model)
    shapes.infer(model, image)
    if _problem(model, image, expected) is not None:
        _rewrite(model, image)
        shapes.infer(model, image)
        if (reason := _problem(model, image, expected)) is not None:
            raise ExportError(
                f"the model is made for a batch of {image.batch or 1} and cannot be changed to take any: {reason}. Export it "
                'with a free batch; in PyTorch with dynamic_axes={"input": {0: "N"}}'
            )
    shapes.complete(model, image)


def _problem(model: ir.Model, image: ImageInput, expected: NDArray[np.float32]) -> str | None:
    """Why the pictures of `agreement.probe` do not get their answers `expected`, all in one batch and one by one."""
    inputs, output = agreement.probe(image), model.graph.outputs[0].name or ""
    for size in (None, 1):
        try:
            found = Network(ir.to_proto(model), replace(image, batch=size), output)(inputs)
        except ExportError as error:
            return str(error)
        if not agreement.same(expected, found):
            return f"in a batch of {size or len(inputs)} a picture gets another answer"
    return None


def _rewrite(model: ir.Model, image: ImageInput) -> None:
    fixed = model.clone()
    shapes.infer(fixed, image, image.batch or 1)
    sizes = {value.name: size for node in fixed.graph for value in node.outputs if (size := _static(value))}
    op = Operators(model.graph, "batch")
    for node in shapes.dependent(model.graph):
        if node.op_type == "Reshape" and (shape := sizes.get(node.outputs[0].name)):
            _free_reshape(op, node, shape)
        elif node.op_type == "Concat" and node.attributes["axis"].as_int() != 0:
            _repeat_constants(op, node, image.batch or 1)
    model.graph.sort()
    RemoveUnusedNodesPass()(model)


def _static(value: ir.Value) -> tuple[int, ...] | None:
    """The shape of a tensor, if it is known and does not change; not of one without elements."""
    if value.shape is None or not value.shape.is_static():
        return None
    return value.shape.numpy() if math.prod(value.shape.numpy()) else None


def _free_squeezes(graph: ir.Graph) -> None:
    """Has every Squeeze of all axes of size 1 name them, without the batch."""
    op = Operators(graph, "squeeze")
    for node in list(graph):
        source = node.inputs[0] if node.op_type == "Squeeze" and len(node.inputs) == 1 else None
        if source is not None and source.shape is not None and shapes.known(source):
            axes = [axis for axis, size in enumerate(source.shape) if axis > 0 and size == 1]
            node.outputs[0].replace_all_uses_with(op.Squeeze(source, ints(*axes)), replace_graph_outputs=True)
    graph.sort()


def _free_reshape(op: Operators, node: ir.Node, shape: tuple[int, ...]) -> None:
    """Has a Reshape to `shape` take the first size from what is left."""
    reshaped = op.Reshape(_input(node), ints(-1, *shape[1:]))
    node.outputs[0].replace_all_uses_with(reshaped, replace_graph_outputs=True)


def _repeat_constants(op: Operators, node: ir.Node, batch: int) -> None:
    """Repeats constants that a Concat puts beside a tensor, once for each picture."""
    computed = next(value for value in node.inputs if value is not None and not value.is_initializer())
    for index, value in enumerate(node.inputs):
        if value is not None and value.is_initializer() and value.shape and value.shape[0] == batch:
            one = op.Slice(value, ints(0), ints(1), ints(0))
            rest = ints(*value.shape.numpy()[1:])
            size = op.Concat(op.Shape(computed, start=0, end=1), rest, axis=0)
            node.replace_input_with(index, op.Expand(one, size))


def _input(node: ir.Node) -> ir.Value:
    value = node.inputs[0]
    assert value is not None, f"{node.op_type} without its first input is not valid ONNX"  # noqa: S101
    return value
