"""The same network in the form that the rest of the exporter expects.

It is done in steps that are each compared with what was before: operators of a known version, float32 throughout, one input of a
fixed picture size and any number of pictures, one output, all shapes known. What the network computes stays as it is.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import onnx.inliner
import onnx_ir as ir
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator
from onnx_ir.passes.common import (
    ClearMetadataAndDocStringPass,
    RemoveInitializersFromInputsPass,
    RemoveUnusedNodesPass,
)

from exporter.errors import ExportError
from exporter.from_onnx import agreement, batch, batch_first, floats, fold, opset
from exporter.from_onnx.read import ImageInput
from exporter.from_onnx.running import Network

# Half precision keeps 11 bits: after fifty layers an answer is good to about a percent.
_HALF = 2e-2
# What the inputs and outputs of a bundle's graphs are called (bundle.manifest.signature).
_RESERVED = {"pixels", "targets", "methods", "probabilities", "heatmaps"}


def measure(given: onnx.ModelProto, image: ImageInput, output: str) -> Network:
    """The network as its makers wrote it, for ONNX Runtime and in float32: what everything after it is compared with.

    For nearly every file that is `given` itself. Raises ExportError when it cannot be run, or answers otherwise after a
    conversion.
    """
    program = ir.from_proto(opset.lowered(given))
    if not floats.has_other(program, ir.DataType.FLOAT):
        network = _batched(ir.to_proto(program) if opset.version(given) > opset.NEWEST else given, image, output)
    else:
        floats.convert(program, ir.DataType.FLOAT)
        dtype = image.dtype if image.dtype == np.uint8 else np.dtype(np.float32)
        network = _batched(ir.to_proto(program), replace(image, dtype=dtype), output)
    if network.model is not given:
        inputs = agreement.probe(image)
        found = network(inputs.astype(network.image.dtype))
        agreement.require(
            _answers(given, image, output, inputs), found, "bringing it to float32 and a known opset", _HALF
        )
    return network


def prepare(network: Network) -> ir.Model:
    """The model of `network` in opset 18 or later: [N, *image.shape] -> one output, shapes known but for N.

    Raises ExportError when an operator cannot be converted, or the graph cannot take any number of pictures.
    """
    inputs = agreement.probe(network.image)
    expected = network(inputs)
    model = opset.raised(network.model)
    if model is not network.model:
        found = Network(model, network.image, network.output)(inputs)
        agreement.require(expected, found, f"converting opset {opset.version(network.model)} to {opset.version(model)}")
    model = onnx.inliner.inline_local_functions(model)
    model.ir_version = opset.file_format(model)
    program = ir.from_proto(model)
    program.graph.outputs[:] = [value for value in program.graph.outputs if value.name == network.output]
    for clean in (RemoveInitializersFromInputsPass(), RemoveUnusedNodesPass(), ClearMetadataAndDocStringPass()):
        clean(program)
    _free_names(program)
    fold.constants(program)
    batch.free(program, network.image, expected)
    if (rewritten := batch_first.rewritten(program)) is None:
        return program
    batch.free(rewritten, network.image, expected)
    return rewritten


def _batched(model: onnx.ModelProto, image: ImageInput, output: str) -> Network:
    """`model` in batches, or picture by picture where it says that it takes a batch but does not."""
    network = Network(model, image, output)
    if image.batch is not None:
        return network
    alone = Network(model, replace(image, batch=1), output)
    inputs = agreement.probe(image)
    try:
        return network if agreement.same(alone(inputs), network(inputs)) else alone
    except ExportError:
        return alone


def _answers(
    given: onnx.ModelProto, image: ImageInput, output: str, inputs: NDArray[np.generic]
) -> NDArray[np.float32]:
    """What `given` answers; by ONNX's own reference implementation where ONNX Runtime does not take it."""
    try:
        return Network(given, image, output)(inputs)
    except ExportError:
        parts = [inputs[number : number + 1].repeat(image.batch or 1, axis=0) for number in range(len(inputs))]
    try:
        evaluator = ReferenceEvaluator(given)
        found: list[Any] = [evaluator.run([output], {image.name: part}) for part in parts]
    except Exception as error:  # its operators raise whatever NumPy does
        raise ExportError(f"neither ONNX Runtime nor ONNX itself can run the file as it is: {error}") from error
    return np.stack([answer[0].reshape(image.batch or 1, -1)[0] for answer in found]).astype(np.float32)


def _free_names(program: ir.Model) -> None:
    for node in program.graph:
        for value in node.outputs:
            if value.name in _RESERVED:
                value.name = f"{value.name}/given"
