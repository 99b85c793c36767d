"""Any request at all: an answer or a reason, never INTERNAL, and never without an end."""

from typing import Any

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.server_process import RunningServer
from proto import open_inference_pb2 as pb
from proto import open_inference_pb2_grpc as rpc

FINE = {
    grpc.StatusCode.OK,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.UNAVAILABLE,  # `flipped`
    grpc.StatusCode.DEADLINE_EXCEEDED,  # a parameter `timeout` of microseconds
    grpc.StatusCode.RESOURCE_EXHAUSTED,  # more than the server takes
}
SECONDS = 30  # of the client; longer than anything here may take

TEXT = st.text(max_size=12)
DATATYPES = [
    "BOOL",
    "UINT8",
    "UINT16",
    "UINT32",
    "UINT64",
    "INT8",
    "INT16",
    "INT32",
    "INT64",
    "FP16",
    "FP32",
    "FP64",
    "BYTES",
]
SIZES = st.one_of(st.integers(0, 4), st.sampled_from([3, 12, 16, 28, -1]), st.integers(-(1 << 63), (1 << 63) - 1))
# Shapes, mostly those that some model takes, so that what lies behind the check of the shape is reached, too.
SHAPES = st.one_of(
    st.sampled_from([[1], [2], [1, 1], [2, 2], [1, 3], [2, 3], [1, 12, 16, 3], [1, 28, 28, 1]]),
    st.lists(SIZES, max_size=5),
)
NUMBERS = st.integers(-(1 << 63), (1 << 63) - 1)
PARAMETERS = st.dictionaries(
    st.one_of(st.sampled_from(["timeout", "priority", "method", "classification", "shared_memory_region"]), TEXT),
    st.one_of(
        st.builds(pb.InferParameter),
        st.builds(pb.InferParameter, bool_param=st.booleans()),
        st.builds(pb.InferParameter, int64_param=NUMBERS),
        st.builds(pb.InferParameter, string_param=TEXT),
        st.builds(pb.InferParameter, double_param=st.floats()),
        st.builds(pb.InferParameter, uint64_param=st.integers(0, (1 << 64) - 1)),
    ),
    max_size=2,
)


def few(elements: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(elements, max_size=6)


SMALL = st.integers(-5, 5)
CONTENTS = st.one_of(
    st.builds(pb.InferTensorContents),
    st.builds(pb.InferTensorContents, bool_contents=few(st.booleans())),
    st.builds(pb.InferTensorContents, int_contents=few(st.integers(-(1 << 31), (1 << 31) - 1))),
    st.builds(pb.InferTensorContents, int64_contents=few(st.one_of(SMALL, NUMBERS))),
    st.builds(pb.InferTensorContents, uint_contents=few(st.integers(0, (1 << 32) - 1))),
    st.builds(pb.InferTensorContents, fp32_contents=few(st.floats(width=32))),
    st.builds(pb.InferTensorContents, fp64_contents=few(st.floats())),
    st.builds(pb.InferTensorContents, bytes_contents=few(st.binary(max_size=40))),
    st.builds(pb.InferTensorContents, fp32_contents=few(st.floats(width=32)), int_contents=few(SMALL)),
)
TENSORS = st.builds(
    pb.ModelInferRequest.InferInputTensor,
    name=st.one_of(st.sampled_from(["pixels", "image", "targets", "x", "offset"]), TEXT),
    datatype=st.one_of(st.sampled_from(DATATYPES), TEXT),
    shape=SHAPES,
    parameters=PARAMETERS,
    contents=CONTENTS,
)
# Sizes of raw contents that fit some shape above, and others.
RAW = st.one_of(st.sampled_from([0, 1, 4, 8, 12, 16, 24, 576, 784, 1152]).map(bytes), st.binary(max_size=64))
OUTPUTS = st.builds(
    pb.ModelInferRequest.InferRequestedOutputTensor,
    name=st.one_of(st.sampled_from(["probabilities", "heatmaps", "line", "largest"]), TEXT),
    parameters=PARAMETERS,
)


@st.composite
def anything(draw: st.DrawFn) -> pb.ModelInferRequest:
    """A request of random parts. Where it is raw, its tensors mostly have no typed contents beside."""
    inputs = draw(st.lists(TENSORS, max_size=3))
    raw = draw(
        st.one_of(st.just([]), st.lists(RAW, min_size=len(inputs), max_size=len(inputs)), st.lists(RAW, max_size=3))
    )
    raw_alone = draw(st.integers(0, 9)) > 0
    if raw and raw_alone:
        for each in inputs:
            each.ClearField("contents")
    return pb.ModelInferRequest(
        model_name=draw(st.one_of(st.sampled_from(["shapes", "digits", "pair", "traits", "line", "flipped"]), TEXT)),
        model_version=draw(st.one_of(st.just(""), st.sampled_from(["", "1", "7", "0", "-1"]), TEXT)),
        id=draw(TEXT),
        parameters=draw(PARAMETERS),
        inputs=inputs,
        outputs=draw(st.lists(OUTPUTS, max_size=2)),
        raw_input_contents=raw,
    )


@st.composite
def nearly_right(draw: st.DrawFn) -> pb.ModelInferRequest:
    """A right request with one or two of its parts exchanged for random ones."""
    values = {"pixels": ("UINT8", [1, 12, 16, 3], bytes(576)), "targets": ("INT64", [1, 2], bytes(16))}
    request = pb.ModelInferRequest(model_name=draw(st.sampled_from(["shapes", "pair", "traits"])))
    for name, (datatype, shape, raw) in values.items():
        request.inputs.add(name=name, datatype=datatype, shape=shape)
        request.raw_input_contents.append(raw)
    for _ in range(draw(st.integers(1, 2))):
        at = draw(st.integers(0, 1))
        match draw(st.sampled_from(["tensor", "raw", "parameters", "outputs", "shape"])):
            case "tensor":
                request.inputs[at].CopyFrom(draw(TENSORS))
            case "raw":
                request.raw_input_contents[at] = draw(st.one_of(RAW, st.binary(min_size=16, max_size=16)))
            case "parameters":
                request.MergeFrom(pb.ModelInferRequest(parameters=draw(PARAMETERS)))
            case "outputs":
                request.outputs.extend(draw(st.lists(OUTPUTS, max_size=2)))
            case "shape":
                request.inputs[at].shape[:] = draw(SHAPES)
    return request


@pytest.fixture(scope="module")
def channel(server: RunningServer) -> Any:
    with grpc.insecure_channel(server.grpc) as opened:
        yield opened


def outcome(channel: grpc.Channel, request: pb.ModelInferRequest) -> tuple[grpc.StatusCode, str]:
    try:
        rpc.GRPCInferenceServiceStub(channel).ModelInfer(request, timeout=SECONDS)
    except grpc.RpcError as error:
        return error.code(), error.details() or ""
    return grpc.StatusCode.OK, ""


@settings(
    max_examples=250,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(request=st.one_of(anything(), nearly_right()))
def test_every_request_is_answered_or_refused_with_a_reason(
    channel: grpc.Channel, request: pb.ModelInferRequest
) -> None:
    code, reason = outcome(channel, request)
    assert code in FINE, reason
    assert (code == grpc.StatusCode.OK) == (not reason)
