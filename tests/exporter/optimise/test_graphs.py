"""What becomes of the graph: which part loses precision, and which never does."""

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import numpy_helper

from exporter.errors import ExportError
from exporter.gradcam import explain
from exporter.optimise import half, int8, network
from tests.bundles import make_classifier
from tests.exporter.graphs import every_row, parse, run

SHAPE = (12, 16, 3)


def explained(activation: str = "Softmax", scores: int = 3) -> onnx.ModelProto:
    return explain(make_classifier(np.random.default_rng(0), SHAPE, scores, activation)).model


def pictures(count: int = 24) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, *SHAPE), np.uint8)


def weights(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def test_only_what_lies_between_the_first_and_the_last_weights_loses_precision() -> None:
    operators = [node.op_type for node in network.inner(network.named(explained("Sigmoid", scores=1)))]
    assert operators == ["Conv", "Relu", "MaxPool", "Flatten", "Gemm"]


def test_a_network_without_weights_has_nothing_to_lose() -> None:
    model = parse("g (float[N,3] x) => (float[N,3] y) { y = Softmax(x) }")
    with pytest.raises(ExportError, match="no convolution and no dense layer"):
        network.inner(network.named(model))


def test_nodes_without_names_get_different_ones() -> None:
    model = parse("g (float[N,3] x) => (float[N,3] y) { a = Relu(x) b = Relu(a) y = Softmax(b) }")
    names = [node.name for node in network.named(model).graph]
    assert all(names)
    assert len(set(names)) == 3


def test_weights_take_7_bits_so_that_no_processor_saturates() -> None:
    made = weights(int8.quantised(explained(), pictures()))
    kernels = [array for name, array in made.items() if array.dtype == np.int8 and array.ndim > 1]
    assert len(kernels) == 2
    assert all(np.abs(kernel.astype(int)).max() in range(60, 65) for kernel in kernels)


def test_each_output_channel_has_its_own_scale() -> None:
    model = explained()
    made = weights(int8.quantised(model, pictures()))
    kernel = weights(model)["kernel"]
    largest = np.abs(kernel).max(axis=(1, 2, 3))
    np.testing.assert_allclose(made["kernel_scale"], largest / 64, rtol=0.02)


def test_the_explanation_and_the_probabilities_are_computed_in_float32() -> None:
    for made in (int8.quantised(explained(), pictures()), half.halved(explained())):
        program = network.named(made)
        computed = [
            node for node in program.graph if (node.name or "").startswith("gradcam/") or node.op_type == "Softmax"
        ]
        types = {value.dtype for node in computed for value in (*node.inputs, *node.outputs) if value is not None}
        assert len(computed) > 10
        assert not types & {ir.DataType.FLOAT16, ir.DataType.INT8, ir.DataType.UINT8}


def test_float16_halves_the_weights_and_keeps_what_goes_in_and_out() -> None:
    model = explained()
    made = half.halved(model)
    assert weights(made)["kernel/float16"].dtype == np.float16
    assert "kernel" not in weights(made)
    for role in ("input", "output"):
        before, after = (getattr(each.graph, role) for each in (model, made))
        assert [value.SerializeToString() for value in after] == [value.SerializeToString() for value in before]


def test_numbers_too_large_for_float16_become_its_largest() -> None:
    model = explained()
    bias = next(tensor for tensor in model.graph.initializer if tensor.name == "bias")
    bias.CopyFrom(numpy_helper.from_array(np.array([1e6, 0, 0], np.float32), "bias"))
    probabilities = run(half.halved(model), pixels=pictures(2), targets=every_row(2, -1))[0]
    np.testing.assert_array_equal(probabilities, [[1, 0, 0]] * 2)


def test_a_size_that_the_standard_wants_in_float32_stays_so() -> None:
    model = parse(
        """g (float[N,1,4,4] x) => (float[N,2] y)
        <float[1,1,1,1] k = {2}, float[4] s = {1, 1, 2, 2}, int64[2] d = {64, 2}> {
          w = ConstantOfShape(d)
          c = Conv(x, k)
          r = Resize<mode = "nearest">(c, , s)
          f = Flatten(r)
          z = MatMul(f, w)
          y = Softmax(z)
        }"""
    )
    found = run(half.halved(model), x=np.ones((1, 1, 4, 4), np.float32))[0]
    np.testing.assert_allclose(found, [[0.5, 0.5]])


def test_a_cast_inside_the_network_goes_to_float16_too() -> None:
    model = parse(
        """g (float[N,2] x) => (float[N,2] y) <float[2,2] w = {1, 0, 0, 1}> {
          a = MatMul(x, w)
          i = Cast<to = 7>(a)
          b = Cast<to = 1>(i)
          c = MatMul(b, w)
          y = Softmax(c)
        }"""
    )
    found = run(half.halved(model), x=np.array([[2.0, 2.0]], np.float32))[0]
    np.testing.assert_allclose(found, [[0.5, 0.5]])
