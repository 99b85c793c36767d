"""A caller's request id comes back behind every answer, whatever was asked, so that both sides' logs can be laid beside each other."""

from collections.abc import Callable
from typing import Any

import grpc
import pytest

from bench.server_process import RunningServer
from proto import classifier_pb2 as pb
from proto import classifier_pb2_grpc as rpc
from proto import open_inference_pb2 as v2
from proto import open_inference_pb2_grpc as v2_rpc
from tests.contract.http.asking import ask

ID = (("x-request-id", "order-66"),)
Own, Open = rpc.ImageClassifierStub, v2_rpc.GRPCInferenceServiceStub

CALLS: dict[str, tuple[Callable[[grpc.Channel], Any], Any]] = {
    "ListModels": (Own, pb.ListModelsRequest()),
    "GetModel": (Own, pb.GetModelRequest(model="shapes")),
    "ModelMetadata": (Open, v2.ModelMetadataRequest(name="shapes")),
    "ModelConfig": (Open, v2.ModelConfigRequest(name="shapes")),
    "ModelStatistics": (Open, v2.ModelStatisticsRequest(name="shapes")),
    "RepositoryIndex": (Open, v2.RepositoryIndexRequest()),
    "RepositoryModelLoad": (Open, v2.RepositoryModelLoadRequest(model_name="digits")),
}
REFUSED: dict[str, tuple[Callable[[grpc.Channel], Any], Any]] = {
    "GetModel": (Own, pb.GetModelRequest(model="nobody")),
    "ModelMetadata": (Open, v2.ModelMetadataRequest(name="nobody")),
    "ModelStatistics": (Open, v2.ModelStatisticsRequest(name="nobody")),
    "RepositoryModelLoad": (Open, v2.RepositoryModelLoadRequest(model_name="nobody")),
    "RepositoryModelUnload": (Open, v2.RepositoryModelUnloadRequest(model_name="nobody")),
}


@pytest.mark.parametrize("name", CALLS)
def test_it_comes_back_behind_answers_over_grpc(server: RunningServer, name: str) -> None:
    stub, request = CALLS[name]
    with grpc.insecure_channel(server.grpc) as channel:
        _, call = getattr(stub(channel), name).with_call(request, metadata=ID)
    assert dict(call.trailing_metadata())["x-request-id"] == "order-66"


@pytest.mark.parametrize("name", REFUSED)
def test_it_comes_back_behind_refusals_over_grpc(server: RunningServer, name: str) -> None:
    stub, request = REFUSED[name]
    with grpc.insecure_channel(server.grpc) as channel, pytest.raises(grpc.RpcError) as refused:
        getattr(stub(channel), name)(request, metadata=ID)
    call: Any = refused.value
    assert dict(call.trailing_metadata())["x-request-id"] == "order-66"


@pytest.mark.parametrize("name", ["ClassifyStream", "ModelStreamInfer"])
def test_it_comes_back_at_the_end_of_a_stream(server: RunningServer, name: str) -> None:
    stub: Any = Own if name == "ClassifyStream" else Open
    with grpc.insecure_channel(server.grpc) as channel:
        call = getattr(stub(channel), name)(iter(()), metadata=ID)
        assert not list(call)
        assert dict(call.trailing_metadata())["x-request-id"] == "order-66"


@pytest.mark.parametrize(
    "path", ["/v1/models", "/v1/models/nobody", "/v2/models/shapes", "/metrics", "/livez", "/nowhere"]
)
def test_it_comes_back_with_every_answer_over_http(server: RunningServer, path: str) -> None:
    assert ask(server.http, "GET", path, x_request_id="order-66").headers["x-request-id"] == "order-66"
