"""Wrong requests: each is an INVALID_ARGUMENT with its reason, and nothing is allocated for what was only declared."""

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from bench.server_process import RunningServer
from proto import open_inference_pb2 as pb
from proto import open_inference_pb2_grpc as rpc
from tests.contract.refusals import refusal
from tests.contract.v2.wrong import OFFSET, WRONG, X, as_message, request

Stub = rpc.GRPCInferenceServiceStub


@pytest.fixture(scope="module")
def inference(server: RunningServer) -> Iterator["Stub"]:
    """A stub of the protocol's service."""
    with grpc.insecure_channel(server.grpc) as channel:
        yield rpc.GRPCInferenceServiceStub(channel)


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_request_is_refused_with_its_reason(inference: Stub, case: str) -> None:
    path, body, reason = WRONG[case]
    code, told = refusal(inference.ModelInfer, as_message(path, body))
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert reason in told


def both_kinds() -> pb.ModelInferRequest:
    message = as_message("line", request(X, OFFSET))
    message.raw_input_contents.extend([bytes(12), bytes(8)])
    return message


def other_field() -> pb.ModelInferRequest:
    message = as_message("line", request(X, OFFSET))
    message.inputs[0].contents.ClearField("fp32_contents")
    message.inputs[0].contents.int_contents.extend([1, 2, 3])
    return message


def one_raw_of_two() -> pb.ModelInferRequest:
    tensors = [
        pb.ModelInferRequest.InferInputTensor(name="x", datatype="FP32", shape=[1, 3]),
        pb.ModelInferRequest.InferInputTensor(name="offset", datatype="INT64", shape=[1]),
    ]
    return pb.ModelInferRequest(model_name="line", inputs=tensors, raw_input_contents=[bytes(12)])


def shared_memory() -> pb.ModelInferRequest:
    message = as_message("line", request(X, OFFSET))
    message.inputs[0].parameters["shared_memory_region"].string_param = "region"
    return message


def shared_memory_for_an_answer() -> pb.ModelInferRequest:
    message = as_message("line", request(X, OFFSET, outputs=[{"name": "line"}]))
    message.outputs[0].parameters["shared_memory_region"].string_param = "region"
    return message


def half_precision_typed() -> pb.ModelInferRequest:
    message = as_message("line", request(X, OFFSET))
    message.inputs[0].datatype = "FP16"
    return message


# What only this encoding can get wrong.
WRONG_MESSAGES = {
    "both kinds of contents": (both_kinds(), "'x': both `contents` and `raw_input_contents` came; send one of the two"),
    "another datatype's field": (other_field(), "'x': contents in `int_contents`; FP32 goes into `fp32_contents`"),
    "too few raw contents": (one_raw_of_two(), "raw_input_contents: 1 for 2 inputs; send one for each input"),
    "shared memory": (shared_memory(), "'x': shared memory is not offered; send the contents"),
    "shared memory for an answer": (shared_memory_for_an_answer(), "'line': shared memory is not offered"),
    "half precision typed": (half_precision_typed(), "'x': datatype FP16, the model takes FP32"),
    "no model": (as_message("", request(X, OFFSET)), "the model's name is empty"),
}


@pytest.mark.parametrize("case", WRONG_MESSAGES)
def test_a_wrong_message_is_refused_with_its_reason(inference: Stub, case: str) -> None:
    message, reason = WRONG_MESSAGES[case]
    code, told = refusal(inference.ModelInfer, message)
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert reason in told


def test_a_long_name_is_cut_in_the_reason_so_that_it_arrives(inference: Stub) -> None:
    for name in ("x" * 100_000, "\N{PILE OF POO}" * 20_000):
        code, told = refusal(inference.ModelInfer, as_message(name, request(X, OFFSET)))
        assert code == grpc.StatusCode.NOT_FOUND
        assert told.startswith(f"no model '{name[:100]}")


def peak_bytes(server: RunningServer) -> int:
    """The most memory that the server has had."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return 1024 * int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])


@pytest.mark.parametrize(
    "case", ["1 GiB declared in 10 bytes", "2^63 elements in 10 bytes", "2^30 elements in 10 bytes"]
)
def test_what_is_only_declared_is_never_allocated(inference: Stub, server: RunningServer, case: str) -> None:
    path, body, _ = WRONG[case]
    before = peak_bytes(server)
    for _ in range(10):
        refusal(inference.ModelInfer, as_message(path, body))
    assert peak_bytes(server) - before < 100 << 20


def test_a_message_that_unpacks_to_more_than_the_limit_is_refused(server: RunningServer) -> None:
    body = request({"name": "image", "datatype": "BYTES", "shape": [1], "raw": bytes(50 << 20)})
    with grpc.insecure_channel(server.grpc, compression=grpc.Compression.Gzip) as channel:
        stub = rpc.GRPCInferenceServiceStub(channel)
        code, told = refusal(stub.ModelInfer, as_message("shapes", body))
    assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "larger than max" in told
