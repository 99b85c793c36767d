"""The short cuts through linear parts of a head, against the rules alone."""

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from numpy.typing import NDArray
from onnx_ir.passes.common import ShapeInferencePass

from exporter.gradcam import explain
from exporter.gradcam.backward import gradient, path
from exporter.gradcam.operators import Operators
from tests.exporter.graphs import every_row, parse, run

LABELS = 5
GRAPH = """
g (uint8[N,6,6,1] pixels, float[4,1,3,3] kernel, float[4,4,1,1] mix, float[{rows},8] hidden, float[8] bias,
   float[{width},{labels}] weights) => (float[N,{labels}] probabilities)
<int64[2] cells = {{1, 2}}, int64[2] hw = {{2, 3}}, int64[2] flat = {{0, -1}}, float[1,4,1,1] by = {{-1, 2, 3, 1}}>
{{
    x = Cast<to = 1>(pixels)
    first = Transpose<perm = [0, 3, 1, 2]>(x)
    conv = Conv(first, kernel)
    map = Relu(conv)
    {head}
    probabilities = Softmax(score)
}}
"""
POOL = "p = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(map)"

# head, rows of `hidden`, rows of `weights`
HEADS = {
    "averaged, dense": ("p = GlobalAveragePool(map) f = Flatten(p) score = MatMul(f, weights)", 1, 4),
    "summed, dense": ("f = ReduceSum<keepdims = 0>(map, hw) score = MatMul(f, weights)", 1, 4),
    "averaged with the channels last, dense": (
        "t = Transpose<perm = [0, 2, 3, 1]>(map) f = ReduceMean<keepdims = 0>(t, cells) score = MatMul(f, weights)", 1, 4
    ),
    "averaged, two dense": (
        "p = GlobalAveragePool(map) f = Flatten(p) h = Gemm(f, hidden, bias) r = Relu(h) score = MatMul(r, weights)", 4, 8
    ),
    "the largest, dense": ("p = GlobalMaxPool(map) f = Flatten(p) score = MatMul(f, weights)", 1, 4),
    "flattened, dense": ("f = Flatten(map) score = MatMul(f, weights)", 1, 64),
    "pooled, flattened, dense": (f"{POOL} f = Flatten(p) score = MatMul(f, weights)", 1, 16),
    "pooled, flattened, two dense": (
        f"{POOL} f = Flatten(p) h = Gemm(f, hidden, bias) r = Relu(h) score = MatMul(r, weights)", 16, 8
    ),
    "flattened with the channels last, two dense": (
        "t = Transpose<perm = [0, 2, 3, 1]>(map) f = Reshape(t, flat) m = MatMul(f, hidden) h = Add(m, bias) r = Relu(h) "
        "score = MatMul(r, weights)", 64, 8
    ),
    "scaled by channel, averaged, dense": (
        "s = Mul(map, by) p = GlobalAveragePool(s) f = Flatten(p) score = MatMul(f, weights)", 1, 4
    ),
    "with a skip connection past a non-linear operator": (
        "p = GlobalAveragePool(map) f = Flatten(p) a = Relu(f) b = Sigmoid(f) s = Mul(a, b) score = MatMul(s, weights)",
        1, 4
    ),
    "with a linear skip connection": (
        "p = GlobalAveragePool(map) q = Conv(p, mix) s = Add(p, q) f = Flatten(s) score = MatMul(f, weights)", 1, 4
    ),
    "pooled, convolved": (f"{POOL} c = Conv(p, mix) f = Flatten(c) score = MatMul(f, weights)", 1, 16),
}  # fmt: skip


@pytest.mark.parametrize("name", HEADS)
def test_heatmaps_are_those_of_the_rules_alone(name: str) -> None:
    model = classifier(*HEADS[name])
    pixels = np.random.default_rng(1).integers(0, 4, (7, 6, 6, 1), np.uint8)

    _, heatmaps = run(explain(model, "map").model, pixels=pixels, targets=every_row(7, *range(LABELS)))

    maps, gradients = by_the_rules(model, pixels)
    evidence = np.maximum(np.einsum("nmc,nchw->nmhw", gradients.mean(axis=(3, 4)), maps), 0)
    peaks = evidence.max(axis=(2, 3), keepdims=True)
    expected = np.divide(evidence, peaks, out=np.zeros_like(evidence), where=peaks > 1e-5)
    assert expected.any(axis=(2, 3)).mean() > 0.3
    np.testing.assert_allclose(heatmaps, expected, atol=1e-4)


def test_behind_a_global_average_nothing_is_left_of_the_backward_pass_but_a_row_of_weights() -> None:
    """Zhou et al., CVPR 2016."""
    explained = explain(classifier(*HEADS["averaged, dense"]))

    added = [node.op_type for node in explained.model.graph.node if node.name.startswith("gradcam/")]
    assert added == [
        *("Clip", "Sub", "TopK", "Pad", "GatherElements", "Less", "Where"),  # which class
        "Gather",  # its row of weights
        *("Reshape", "MatMul", "Relu", "ReduceMax", "Max", "Div", "Reshape"),  # the heatmap
    ]


def test_a_flattened_map_is_reached_through_one_small_matrix() -> None:
    explained = explain(classifier(*HEADS["pooled, flattened, two dense"]))

    constants = {name.name: tuple(name.dims) for name in explained.model.graph.initializer}
    assert (8, 4) in [size for name, size in constants.items() if name.startswith("gradcam/")]
    assert not any(node.op_type == "ScatterElements" for node in explained.model.graph.node)


def test_of_many_classes_any_rank_can_be_asked_for() -> None:
    labels = 200
    model = classifier("p = GlobalAveragePool(map) f = Flatten(p) score = MatMul(f, weights)", 1, 4, labels)
    pixels = np.random.default_rng(1).integers(0, 4, (3, 6, 6, 1), np.uint8)
    explained = explain(model).model

    for targets in ([-1], [-1, -3], [-200, 7], [199, -201, 200], [5]):
        probabilities, heatmaps = run(explained, pixels=pixels, targets=every_row(3, *targets))
        ranking = np.argsort(-probabilities, axis=1, kind="stable")
        for picture in range(3):
            for place, target in enumerate(targets):
                known = -labels <= target < labels
                named = int(ranking[picture, -1 - target]) if known and target < 0 else target
                alone = run(explained, pixels=pixels, targets=every_row(3, named))[1][picture, 0]
                expected = alone if known else np.zeros_like(alone)
                np.testing.assert_allclose(heatmaps[picture, place], expected, atol=1e-5)


def classifier(head: str, rows: int, width: int, labels: int = LABELS) -> onnx.ModelProto:
    """A classifier with random weights whose map is 4x4 with 4 channels."""
    model = parse(GRAPH.format(head=head, rows=rows, width=width, labels=labels))
    random = np.random.default_rng(0)
    while len(model.graph.input) > 1:
        weights = model.graph.input.pop(1)
        shape = [dim.dim_value for dim in weights.type.tensor_type.shape.dim]
        values = random.normal(size=shape).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(values, weights.name))
    return model


def by_the_rules(model: onnx.ModelProto, pixels: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The map [N, C, h, w] and, operator by operator from a one-hot seed, every class's gradient [N, K, C, h, w]."""
    program = ShapeInferencePass()(ir.from_proto(model)).model
    graph = program.graph
    values = {value.name: value for node in graph for value in node.outputs}
    seed = ir.val("seed", ir.DataType.FLOAT)
    graph.inputs.append(seed)
    found = gradient(
        Operators(graph, "gradient"), path(graph, values["map"], values["score"]), values["score"], seed, values["map"]
    )
    found.type = ir.TensorType(ir.DataType.FLOAT)
    graph.outputs[:] = [values["map"], found]
    every_class = np.tile(np.eye(LABELS, dtype=np.float32), (len(pixels), 1, 1))
    maps, gradients = run(ir.to_proto(program), pixels=pixels, seed=every_class)
    return maps, gradients
