"""Which tensor of a graph Grad-CAM is computed on."""

import onnx_ir as ir
import pytest
from onnx_ir.passes.common import ShapeInferencePass

from exporter.errors import UnsupportedGraphError
from exporter.gradcam import explain, feature_map
from exporter.gradcam.feature_map import Map, dominators
from tests.exporter.graphs import parse

GRAPH = """
g (float[N,8,8,1] pixels, float[2,1,3,3] k1, float[2,2,1,1] k2,
   float[18,2] w18, float[72,2] w72, float[8,2] w8, float[2,2] w2) => (float[N,2] score)
<int64[2] hw = {{1, 2}}, int64[2] flat = {{0, -1}}, float[1,2,1,1] by = {{2, 3}}>
{{
    x = Transpose<perm = [0, 3, 1, 2]>(pixels)
    conv = Conv(x, k1)
    map = Relu(conv)
    {head}
}}
"""

HEADS = {
    "flattened": ("f = Flatten(map) score = MatMul(f, w72)", "map", 1, 6),
    "pooled, then flattened": (
        "p = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(map) f = Flatten(p) score = MatMul(f, w18)", "map", 1, 6
    ),
    "pooled, reordered, then flattened, as TensorFlow does": (
        "p = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(map) t = Transpose<perm = [0, 2, 3, 1]>(p) "
        "f = Reshape(t, flat) score = MatMul(f, w18)", "map", 1, 6
    ),
    "pooled to one cell": ("p = GlobalAveragePool(map) f = Flatten(p) score = MatMul(f, w2)", "map", 1, 6),
    "averaged with the channels last": (
        "t = Transpose<perm = [0, 2, 3, 1]>(map) f = ReduceMean<keepdims = 0>(t, hw) score = MatMul(f, w2)", "map", 1, 6
    ),
    "activated with the channels last": (
        "t = Transpose<perm = [0, 2, 3, 1]>(map) r = Relu(t) f = ReduceMean<keepdims = 0>(r, hw) score = MatMul(f, w2)",
        "r", 3, 6
    ),
    "beside a skip connection": (
        "b = Conv(map, k2) p = GlobalAveragePool(map) q = GlobalAveragePool(b) s = Add(p, q) f = Flatten(s) "
        "score = MatMul(f, w2)", "map", 1, 6
    ),
    "after a skip connection": (
        "b = Conv(map, k2) s = Add(map, b) p = GlobalAveragePool(s) f = Flatten(p) score = MatMul(f, w2)", "s", 1, 6
    ),
    "scaled by a constant on the left": (
        "t = Mul(by, map) p = GlobalAveragePool(t) f = Flatten(p) score = MatMul(f, w2)", "t", 1, 6
    ),
    "pooled, then convolved": (
        "p = MaxPool<kernel_shape = [3, 3], strides = [3, 3]>(map) c = Conv(p, k2) f = Flatten(c) "
        "score = MatMul(f, w8)", "c", 1, 2
    ),
}  # fmt: skip


@pytest.mark.parametrize("head", HEADS)
def test_the_map_is_the_last_that_every_path_passes_before_its_pooling(head: str) -> None:
    text, tensor, channel_axis, size = HEADS[head]

    found = find(text)

    assert found.tensor.name == tensor
    assert (found.channel_axis, found.height, found.width, found.channels) == (channel_axis, size, size, 2)


def test_shapes_computed_from_a_map_are_no_path() -> None:
    found = find(
        "p = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(map) s = Shape<start = 0, end = 1>(map) "
        "r = Constant<value_ints = [18]>() t = Concat<axis = 0>(s, r) f = Reshape(p, t) score = MatMul(f, w18)"
    )

    assert found.tensor.name == "map"


def test_dominators_are_listed_in_order() -> None:
    graph = graph_of("b = Conv(map, k2) s = Add(map, b) p = GlobalAveragePool(s) f = Flatten(p) score = MatMul(f, w2)")

    names = [value.name for value in dominators(graph, graph.inputs[0], graph.outputs[0])]

    assert names == ["pixels", "x", "conv", "map", "s", "p", "f", "score"]


def test_a_graph_without_a_map_is_refused_with_the_way_out() -> None:
    text = "g (float[N,4] x, float[4,2] w) => (float[N,2] score) { score = MatMul(x, w) }"
    graph = ShapeInferencePass()(ir.from_proto(parse(text))).model.graph

    with pytest.raises(UnsupportedGraphError, match=r"no spatial map.*--layer"):
        feature_map.find(graph, graph.inputs[0], graph.outputs[0])


@pytest.mark.parametrize("tensor", ["flat", "nothing"])
def test_a_named_tensor_that_is_no_map_is_refused(tensor: str) -> None:
    model = parse(
        "g (uint8[N,2,2,1] pixels) => (float[N,4] p) { x = Cast<to = 1>(pixels) flat = Flatten(x) p = Softmax(flat) }"
    )

    with pytest.raises(UnsupportedGraphError, match=rf"tensor '{tensor}' is not a spatial map.*--layer"):
        explain(model, tensor)


def test_a_named_map_beside_the_path_to_the_score_is_refused() -> None:
    model = parse(
        "g (uint8[N,2,2,1] pixels) => (float[N,4] p) "
        "{ x = Cast<to = 1>(pixels) aside = Relu(x) flat = Flatten(x) p = Softmax(flat) }"
    )

    with pytest.raises(UnsupportedGraphError, match=r"the score does not depend on feature map 'aside'.*--layer"):
        explain(model, "aside")


def find(head: str) -> Map:
    graph = graph_of(head)
    return feature_map.find(graph, graph.inputs[0], graph.outputs[0])


def graph_of(head: str) -> ir.Graph:
    return ShapeInferencePass()(ir.from_proto(parse(GRAPH.format(head=head)))).model.graph
