"""From a feature map and the gradient of a score to a heatmap.

With A the map and G the gradient of the explained score with respect to it, c a channel:

    gradcam   relu(sum_c mean(G_c) A_c)   Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via
                                          Gradient-based Localization", ICCV 2017. One weight per channel: smooth.
    hirescam  relu(sum_c G_c A_c)         Draelos & Carin, "Use HiResCAM instead of Grad-CAM for faithful explanations of
                                          convolutional neural networks", arXiv 2011.08891, 2020. Cell by cell: exactly the
                                          cells that raised the score where the rest of the head is linear.
    layercam  relu(sum_c relu(G_c) A_c)   Jiang et al., "LayerCAM: Exploring Hierarchical Class Activation Maps for
                                          Localization", IEEE TIP 2021. Positive gradients only: made for earlier layers.

Each is scaled to 0..1 by its own maximum; a map with no positive evidence is all 0.
"""

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from bundle.manifest import Method
from exporter.gradcam.feature_map import Map
from exporter.gradcam.operators import Operators, ints
from exporter.gradcam.sensitivity import Sensitivity


def heatmaps(
    op: Operators, found: Map, sensitivity: Sensitivity, methods: Sequence[Method], chosen: ir.Value | None
) -> ir.Value:
    """The heatmaps f32 [N, M, h, w], each by the one of `methods` that `chosen` i64 [N, M] names by its index.

    `chosen` is None when there is only one. All of them are computed and one is kept: a bundle that carries several pays for
    several. What is no index counts as 0.
    """
    evidence = _evidence(op, found, sensitivity, methods)
    if chosen is not None:
        index = op.Unsqueeze(chosen, ints(2))
        kept = evidence[0]
        for number, other in enumerate(evidence[1:], start=1):
            kept = op.Where(op.Equal(index, np.int64(number)), other, kept)
        evidence = [kept]
    positive = op.Relu(evidence[0])
    # Where nothing is positive, 0 is divided by the least normal number and stays 0.
    peak = op.Max(op.ReduceMax(positive, ints(2), keepdims=1), np.finfo(np.float32).tiny)
    return op.Reshape(op.Div(positive, peak), ints(0, 0, found.height, found.width))


def _evidence(op: Operators, found: Map, sensitivity: Sensitivity, methods: Sequence[Method]) -> list[ir.Value]:
    """What speaks for and against the class in each cell, by each method: f32 [N, M, h * w]."""
    size = ints(0, 0, found.height * found.width)
    made: dict[Method, ir.Value] = {}
    if "gradcam" in methods:
        maps = found.tensor if found.channel_axis == 1 else op.Transpose(found.tensor, perm=[0, 3, 1, 2])
        made["gradcam"] = op.MatMul(sensitivity.total(), op.Reshape(maps, size))
    if set(methods) - {"gradcam"}:
        gradient, beside = sensitivity.gradient(), op.Unsqueeze(found.tensor, ints(1))
        cell_by_cell: dict[Method, ir.Value] = {"hirescam": gradient, "layercam": op.Relu(gradient)}
        for method, weights in cell_by_cell.items():
            summed = op.ReduceSum(op.Mul(weights, beside), ints(found.channel_axis + 1), keepdims=0)
            made[method] = op.Reshape(summed, size)
    return [made[method] for method in methods]
