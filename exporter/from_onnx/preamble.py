"""The arithmetic of a preset, as operators in front of the network.

    pixels u8 [N, H, W, C] -> Cast -> Transpose -> (Gather) -> BatchNormalization -> (Transpose) -> the network's own input

so that the bundle takes pixels like every other, at a quarter of the bytes. All of the arithmetic is one BatchNormalization,
y = factor * x + offset for each channel, always with the channels first. Measured for 224 x 224 x 3, one thread, µs a
picture on ONNX Runtime | OpenVINO, beside EfficientNet-Lite0 itself at 11,550 | 11,540:

                                             network with channels first   network with channels last
    this                                            94 | 120                     148 | 255
    this, when it goes on with a Transpose                                        98 | 119
    Mul and Add                                    112 | 109                   1,486 | 731
    a 1 x 1 convolution                            320 | 455

With the channels last, engines multiply three numbers at a time; that alone would have cost 13 % of the network. Two
Transposes with only a Mul and an Add between them would not help: ONNX Runtime moves them together and drops both. A swap
of red and blue (Gather) adds 12 µs, too little to fold it into the weights of the network. In place, MobileNetV2 by tf2onnx with
imagenet-caffe, batch 8: 9,206 without and 9,374 with it on ONNX Runtime, 9,087 and 8,903 on OpenVINO.
"""

import numpy as np
import onnx_ir as ir

from exporter.from_onnx.presets import Arithmetic
from exporter.from_onnx.read import ImageInput
from exporter.gradcam.operators import Operators

PREFIX = "preprocess"


def add(program: ir.Model, image: ImageInput, arithmetic: Arithmetic) -> None:
    """Replaces the input of `program`, which takes `image`, by `pixels` u8 [N, H, W, C], in place."""
    graph = program.graph
    op = Operators(graph, PREFIX)
    taken = graph.inputs[0]
    pixels = ir.val("pixels", ir.DataType.UINT8, ["N", image.height, image.width, image.channels])
    numbers = pixels if image.dtype == np.uint8 else op.Cast(pixels, to=int(ir.DataType.FLOAT))
    arranged = numbers if arithmetic.does_nothing else _computed(op, numbers, arithmetic)
    channels_first = arranged is not numbers
    if channels_first != (image.layout == "nchw"):
        arranged = op.Transpose(arranged, perm=[0, 2, 3, 1] if channels_first else [0, 3, 1, 2])
    taken.replace_all_uses_with(arranged)
    graph.inputs[:] = [pixels]
    graph.sort()


def _computed(op: Operators, numbers: ir.Value, arithmetic: Arithmetic) -> ir.Value:
    """[N, H, W, C] -> what the network takes, with the channels first: [N, C, H, W]."""
    planes = op.Transpose(numbers, perm=[0, 3, 1, 2])
    if arithmetic.colour == "bgr":
        planes = op.Gather(planes, np.array([2, 1, 0]), axis=1)
    zeros, ones = np.zeros_like(arithmetic.factor), np.ones_like(arithmetic.factor)
    return op.BatchNormalization(planes, arithmetic.factor, arithmetic.offset, zeros, ones, epsilon=0.0)
