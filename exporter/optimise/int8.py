"""8-bit integers by static quantisation: QuantizeLinear and DequantizeLinear around the operators with weights.

ONNX Runtime and OpenVINO both read such a graph and run integer kernels for it. The ranges of the activations are the extremes
over calibration pictures; those of the weights, one for each output channel, are their own.

Weights take 7 of the 8 bits. x86 processors without VNNI multiply and add bytes in 16-bit sums that saturate, and then answer
otherwise than those with it. Measured without VNNI, agreement of the top class with fp32's and correlation of the heatmaps:

                                      8-bit weights          7-bit weights
    fashion, ONNX Runtime             98.4 %   0.978         99.7 %   0.996      10,000 test pictures
    sprites, OpenVINO                 98.9 %   0.995         99.7 %   0.9997     757 test pictures

With 7 bits nothing can saturate, so that the sums are the same whatever the processor has.

Extremes were compared with percentiles (99.99, 99.999) and entropy for the ranges of activations: no difference in agreement that
is larger than that between two sets of calibration pictures. Extremes need no histograms, whose memory grows with the
pictures.
"""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantType, quantize_static
from onnxruntime.quantization.quant_utils import add_pre_process_metadata

from exporter import parity
from exporter.optimise import network

# Those with weights, and those that only move, choose or add values, so that they need not leave integers in between.
_QUANTISED = (
    *network.WEIGHTED, "Add", "AveragePool", "Clip", "Concat", "Flatten", "GlobalAveragePool", "MaxPool", "Relu", "Reshape",
    "Squeeze", "Transpose", "Unsqueeze",
)  # fmt: skip
# Sums of dense layers stay float32: few values, and 8 bits would make ties among the scores of the last one.
_OPTIONS = {"OpTypesToExcludeOutputQuantization": ["Gemm", "MatMul"]}
_BATCH = 16


def quantised(explained: onnx.ModelProto, pixels: NDArray[np.uint8]) -> onnx.ModelProto:
    """The graph with explanations, its forward pass in 8 bits calibrated on `pixels` [S, H, W, C].

    The explanation reads the forward pass as it was rounded. Raises ExportError when nothing can be quantised.
    """
    program = network.named(explained)
    nodes = [node.name for node in network.inner(program) if _worthwhile(node)]
    given = ir.to_proto(program)
    add_pre_process_metadata(given)  # shapes are inferred; without it, a warning says that they might not be
    with TemporaryDirectory() as folder:
        path = Path(folder) / "quantised.onnx"
        quantize_static(
            given,
            path,
            _Reader(pixels, [value.name or "" for value in program.graph.inputs]),
            op_types_to_quantize=list(_QUANTISED),
            nodes_to_quantize=nodes,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            extra_options=_OPTIONS,
        )
        return network.without_shapes(onnx.load(path))


def _worthwhile(node: ir.Node) -> bool:
    """Not so a bias added after a dense layer: 8 bits for it would be the coarsest numbers of the layer."""
    constant = any(ir.convenience.get_const_tensor(value) is not None for value in node.inputs if value is not None)
    return node.op_type in _QUANTISED and not (node.op_type == "Add" and constant)


class _Reader(CalibrationDataReader):  # type: ignore[misc]  # the library has no types
    """Hands the pictures out in batches, each with one target for the explanation."""

    def __init__(self, pixels: NDArray[np.uint8], inputs: list[str]) -> None:
        self._feeds = self._all(pixels, inputs)

    def get_next(self) -> dict[str, NDArray[np.generic]] | None:
        """The next batch by the names of the graph's inputs, None after the last."""
        return next(self._feeds, None)

    @staticmethod
    def _all(pixels: NDArray[np.uint8], inputs: list[str]) -> Iterator[dict[str, NDArray[np.generic]]]:
        for part in parity.batches(pixels, _BATCH):
            rest = {name: np.zeros((len(part), 1), np.int64) for name in inputs if name != "pixels"}
            yield {"pixels": part, **rest}
