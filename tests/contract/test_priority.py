"""How urgent a request is, on every protocol."""

import json

import grpc
import pytest

from bench.server_process import RunningServer
from proto import classifier_pb2 as pb
from proto import classifier_pb2_grpc as rpc
from tests.contract.http.asking import ask, pixels, png, tensor
from tests.contract.refusals import refusal

MODEL = "shapes"
IMAGE = pb.Image(pixels=pb.RawPixels(height=12, width=16, channels=3, data=bytes(576)))
V1, V2 = f"/v1/models/{MODEL}:classify", f"/v2/models/{MODEL}/infer"


@pytest.mark.parametrize("priority", [pb.PRIORITY_HIGH, pb.PRIORITY_NORMAL, pb.PRIORITY_LOW])
def test_every_priority_is_served(stub: "rpc.ImageClassifierStub", priority: "pb.Priority.ValueType") -> None:
    answer = stub.Classify(pb.ClassifyRequest(model=MODEL, images=[IMAGE], priority=priority))
    assert answer.results[0].predictions


def test_a_priority_that_does_not_exist_is_refused_with_those_that_do(stub: "rpc.ImageClassifierStub") -> None:
    request = pb.ClassifyRequest(model=MODEL, images=[IMAGE], priority=9)  # type: ignore[arg-type]
    code, message = refusal(stub.Classify, request)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "priority: 9" in message


@pytest.mark.parametrize(("priority", "status"), [("high", 200), ("low", 200), ("urgent", 400)])
def test_the_query_of_a_path_has_it_by_name(server: RunningServer, priority: str, status: int) -> None:
    answer = ask(server.http, "POST", f"{V1}?priority={priority}", png(pixels()[0]))
    assert answer.status == status


@pytest.mark.parametrize(("priority", "status"), [(0, 200), (1, 200), (3, 200), (77, 200), (-1, 400), ("high", 400)])
def test_the_open_inference_protocol_has_it_as_a_number(
    server: RunningServer, priority: int | str, status: int
) -> None:
    body = {"inputs": [tensor(pixels(), name="pixels")], "parameters": {"priority": priority}}
    answer = ask(server.http, "POST", V2, json.dumps(body).encode())
    assert answer.status == status
