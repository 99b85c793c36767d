"""Where in the picture the cells of a feature map look."""

import onnx_ir as ir
import pytest
from onnx_ir.passes.common import ShapeInferencePass

from exporter.gradcam.feature_map import as_map
from exporter.gradcam.receptive_field import Extent, extent
from tests.exporter.graphs import parse

GRAPH = """
g (float[N,24,32,1] pixels, float[1,1,3,3] k3, float[1,1,5,5] k5) => (float[N,c,h,w] map)
<int64[4] stripes = {{0, 1, 44, 15}}, int64[4] first = {{0, 1, 24, 32}}, int64[8] around = {{0, 0, 1, 1, 0, 0, 1, 1}},
 int64[2] above = {{2, 0}}, int64[1] rows = {{2}}>
{{
    x = Transpose<perm = [0, 3, 1, 2]>(pixels)
    {body}
}}
"""


def extent_after(body: str) -> Extent:
    """The extent of the tensor `map`, for a picture of 24 rows and 32 columns."""
    graph = ShapeInferencePass()(ir.from_proto(parse(GRAPH.format(body=body)))).model.graph
    found = as_map(graph.outputs[0])
    assert found is not None
    return extent(graph, graph.inputs[0], found)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("map = Relu(x)", (0, 0, 32, 24)),
        ("map = Conv(x, k3)", (1, 1, 31, 23)),
        ("map = Conv<pads = [1, 1, 1, 1]>(x, k3)", (0, 0, 32, 24)),
        ('map = Conv<auto_pad = "SAME_UPPER">(x, k5)', (0, 0, 32, 24)),
        ("map = Conv<dilations = [2, 2]>(x, k3)", (2, 2, 30, 22)),
        ("map = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(x)", (0, 0, 32, 24)),
        # Even sizes, stride 2: TensorFlow's padding of one on the far side moves the centres half a pixel in.
        ('map = Conv<auto_pad = "SAME_UPPER", strides = [2, 2]>(x, k3)', (0.5, 0.5, 32.5, 24.5)),
        ('map = Conv<auto_pad = "SAME_LOWER", strides = [2, 2]>(x, k3)', (-0.5, -0.5, 31.5, 23.5)),
        ("c = Conv(x, k5) p = MaxPool<kernel_shape = [3, 3], strides = [3, 3]>(c) map = Conv(p, k3)", (5, 5, 26, 17)),
        ("t = Transpose<perm = [0, 2, 3, 1]>(x) r = Relu(t) u = Transpose<perm = [0, 3, 1, 2]>(r) map = Conv(u, k3)",
         (1, 1, 31, 23)),
        ("c = Conv<pads = [1, 1, 1, 1]>(x, k3) map = Add(c, x)", (0, 0, 32, 24)),
        # ZeroPadding2D before a convolution, as Keras's ResNet has it, and with the axes named.
        ("p = Pad(x, around) map = Conv(p, k3)", (0, 0, 32, 24)),
        ("p = Pad(x, above, , rows) map = Conv(p, k3)", (1, -1, 31, 23)),
        # What tf2onnx writes instead of a Transpose when there is one channel.
        ("t = Reshape(pixels, first) map = Conv(t, k3)", (1, 1, 31, 23)),
    ],
)  # fmt: skip
def test_the_extent_follows_kernels_strides_and_padding(body: str, expected: Extent) -> None:
    assert extent_after(body) == pytest.approx(expected)


def test_a_map_whose_cells_were_moved_about_is_taken_to_cover_the_whole_picture() -> None:
    assert extent_after("c = Conv(x, k3) map = Reshape(c, stripes)") == (0, 0, 32, 24)


def test_the_sprites_network_looks_at_an_inner_part() -> None:
    # Three times a valid 5x5 convolution and, between them, 3x3 pooling; 90 x 160, of which 24 x 32 stands in here.
    body = "a = Conv(x, k5) p = MaxPool<kernel_shape = [3, 3], strides = [3, 3]>(a) map = Conv(p, k5)"
    step, first = 3, 0.5 + 2 + 1 + 3 * 2
    assert extent_after(body) == pytest.approx(
        (first - 1.5, first - 1.5, first - 1.5 + 5 * step, first - 1.5 + 2 * step)
    )
