"""Values that depend on no input, computed once at export."""

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
from numpy.typing import NDArray


def fold(graph: ir.Graph, value: ir.Value) -> NDArray[np.float32]:
    """What `value` is; it must not depend on an input of `graph`. Its nodes stay behind, unused."""
    nodes: list[ir.Node] = []
    constants: dict[str, ir.Value] = {}
    pending, seen = [value], {value}
    while pending:
        current = pending.pop()
        producer = current.producer()
        if producer is None:
            constants[current.name or ""] = current
            continue
        if producer not in nodes:
            nodes.append(producer)
        new = [source for source in producer.inputs if source is not None and source not in seen]
        seen.update(new)
        pending += new
    order = {node: number for number, node in enumerate(graph)}
    part = onnx.helper.make_graph(
        [ir.to_proto(node) for node in sorted(nodes, key=order.__getitem__)],
        "constant",
        [],
        [onnx.helper.make_tensor_value_info(value.name or "", onnx.TensorProto.FLOAT, None)],
        [_tensor(constant) for constant in constants.values()],
    )
    opsets = [onnx.helper.make_opsetid(domain, version) for domain, version in graph.opset_imports.items()]
    model = onnx.helper.make_model(part, ir_version=10, opset_imports=opsets)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found: Any = session.run(None, {})[0]
    return np.asarray(found, np.float32)


def _tensor(constant: ir.Value) -> onnx.TensorProto:
    assert constant.const_value is not None, f"{constant.name!r} depends on an input"  # noqa: S101
    return onnx.numpy_helper.from_array(constant.const_value.numpy(), constant.name)
