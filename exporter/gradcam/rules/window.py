"""Where the windows of a convolution or a pooling lie, and the way back through them.

ONNX says how padding, dilation and rounding place them: https://onnx.ai/onnx/operators/onnx__AveragePool.html.
"""

from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from exporter.gradcam.operators import Operand, Operators, sample_shape
from exporter.gradcam.rules.cotangent import folded, unfolded
from exporter.gradcam.rules.edge import Edge


@dataclass(frozen=True)
class Window:
    """A window of `kernel` cells, `dilation` apart, at `count` places, `stride` apart, along one axis of a map.

    The axis has `size` cells, and is continued by `before` and `after` cells of padding.
    """

    kernel: int
    stride: int
    dilation: int
    size: int
    count: int
    before: int
    after: int

    @property
    def overhang(self) -> int:
        """How many cells the last window reaches beyond the last one of the map; negative when it does not get there."""
        return (self.count - 1) * self.stride + (self.kernel - 1) * self.dilation + 1 - self.before - self.size

    def cells(self) -> NDArray[np.int64]:
        """The cells that each window covers, those of the padding below 0 or from `size` on: int64 [count, kernel]."""
        first = np.arange(self.count) * self.stride - self.before
        return first[:, None] + np.arange(self.kernel) * self.dilation


def windows(edge: Edge) -> list[Window]:
    """One per spatial axis of a Conv, MaxPool or AveragePool, whose x is [N, C, *sizes] and y [N, C', *counts]."""
    sizes, counts = sample_shape(edge.x)[1:], sample_shape(edge.y)[1:]
    kernel = edge.integers("kernel_shape") or sample_shape(edge.operand(1))[1:]
    strides = edge.integers("strides") or [1] * len(sizes)
    dilations = edge.integers("dilations") or [1] * len(sizes)
    pads = edge.integers("pads") or [0] * 2 * len(sizes)
    befores, afters = pads[: len(sizes)], pads[len(sizes) :]
    explicit = [
        Window(*numbers) for numbers in zip(kernel, strides, dilations, sizes, counts, befores, afters, strict=True)
    ]
    return [_padded(window, edge.text("auto_pad", "NOTSET")) for window in explicit]


def _padded(window: Window, how: str) -> Window:
    """With the padding that `auto_pad` asks for in place of the explicit one."""
    if how not in ("SAME_UPPER", "SAME_LOWER"):
        return window
    total = max(0, window.overhang + window.before)
    before = total // 2 if how == "SAME_UPPER" else total - total // 2
    return replace(window, before=before, after=total - before)


def spread(op: Operators, edge: Edge, cotangent: ir.Value, kernel: Operand, group: int) -> ir.Value:
    """Every element of ȳ [N, M, C', *counts], times the kernel [C', C/group, ...], added to the cells of its window.

    This is the transposed convolution: [N, M, C, *sizes]. Its own padding cuts off what falls outside the map.
    """
    found = windows(edge)
    spread_out = op.ConvTranspose(
        folded(op, edge, cotangent),
        kernel,
        group=group,
        strides=[window.stride for window in found],
        dilations=[window.dilation for window in found],
        pads=[*(window.before for window in found), *(max(window.overhang, 0) for window in found)],
        output_padding=[max(-window.overhang, 0) for window in found],
    )
    return unfolded(op, edge, spread_out, cotangent)
