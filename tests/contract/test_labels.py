"""Versions asked for by their labels, on every protocol."""

import json
from collections.abc import Iterator

import grpc
import pytest

from bench.server_process import RunningServer, serving
from proto import classifier_pb2 as pb
from proto import classifier_pb2_grpc as rpc
from proto import open_inference_pb2 as v2
from proto import open_inference_pb2_grpc as v2_rpc
from tests.bundles import make_bundle
from tests.contract.http.asking import ask
from tests.contract.refusals import refusal
from tests.e2e.test_processes import until

IMAGE = pb.Image(pixels=pb.RawPixels(height=12, width=16, channels=3, data=bytes(576)))
INFER = json.dumps(
    {"inputs": [{"name": "pixels", "datatype": "UINT8", "shape": [1, 12, 16, 3], "data": [7] * 576}]}
).encode()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """The model `m`: version 1 is `stable`, 2 is `canary` and in its shadow, 3 has no label."""
    models = tmp_path_factory.mktemp("models")
    for version in (1, 2, 3):
        make_bundle(models / f"m/{version}", seed=version)
    (models / "m/versions.toml").write_text(
        '[labels]\nstable = 1\ncanary = 2\n[shadow]\nversion = "canary"\nshare = 1.0\n'
    )
    with serving(models, "--device", "cpu", "--engine", "onnxruntime") as running:
        yield running


@pytest.fixture(scope="module")
def channel(server: RunningServer) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(server.grpc) as connected:
        yield connected


@pytest.mark.parametrize(("asked", "version"), [({}, 1), ({"version_label": "canary"}, 2), ({"version": 3}, 3)])
def test_classify_takes_a_number_or_a_label(channel: grpc.Channel, asked: dict[str, int], version: int) -> None:
    stub = rpc.ImageClassifierStub(channel)
    assert stub.Classify(pb.ClassifyRequest(model="m", images=[IMAGE], **asked)).version == version  # type: ignore[arg-type]
    assert stub.GetModel(pb.GetModelRequest(model="m", **asked)).version == version  # type: ignore[arg-type]


def test_models_tell_what_they_are_called(channel: grpc.Channel) -> None:
    models = rpc.ImageClassifierStub(channel).ListModels(pb.ListModelsRequest()).models
    told = [(model.version, list(model.version_labels), model.is_default) for model in models]
    assert told == [(1, ["stable"], True), (2, ["canary"], False), (3, [], False)]


@pytest.mark.parametrize(
    ("asked", "code", "reason"),
    [
        ({"version_label": "beta"}, grpc.StatusCode.NOT_FOUND, "no label 'beta'; there are: canary, stable"),
        ({"version_label": "2"}, grpc.StatusCode.INVALID_ARGUMENT, "version_label: '2'; a version is a positive"),
        ({"version": 1, "version_label": "canary"}, grpc.StatusCode.INVALID_ARGUMENT, "name one of them"),
    ],
)
def test_a_label_that_cannot_be_meant_is_refused(
    channel: grpc.Channel, asked: dict[str, int], code: grpc.StatusCode, reason: str
) -> None:
    request = pb.ClassifyRequest(model="m", images=[IMAGE], **asked)  # type: ignore[arg-type]
    found, text = refusal(rpc.ImageClassifierStub(channel).Classify, request)
    assert found == code
    assert reason in text


@pytest.mark.parametrize(("asked", "version"), [("", "1"), ("canary", "2"), ("3", "3")])
def test_the_open_inference_protocol_takes_a_label_as_version(
    server: RunningServer, channel: grpc.Channel, asked: str, version: str
) -> None:
    pixels = v2.ModelInferRequest.InferInputTensor(name="pixels", datatype="UINT8", shape=[1, 12, 16, 3])
    request = v2.ModelInferRequest(
        model_name="m", model_version=asked, inputs=[pixels], raw_input_contents=[bytes(576)]
    )
    stub = v2_rpc.GRPCInferenceServiceStub(channel)
    assert stub.ModelInfer(request).model_version == version
    assert stub.ModelReady(v2.ModelReadyRequest(name="m", version=asked)).ready
    path = f"/v2/models/m/versions/{asked}" if asked else "/v2/models/m"
    answer = ask(server.http, "POST", f"{path}/infer", INFER)
    assert json.loads(answer.body)["model_version"] == version
    v1 = path.replace("/v2/", "/v1/")
    assert json.loads(ask(server.http, "GET", v1).body)["version"] == int(version)


def test_metadata_and_configuration_tell_the_labels(server: RunningServer, channel: grpc.Channel) -> None:
    labels = {"stable": "1", "canary": "2"}
    assert json.loads(ask(server.http, "GET", "/v2/models/m").body)["version_labels"] == labels
    config = v2_rpc.GRPCInferenceServiceStub(channel).ModelConfig(v2.ModelConfigRequest(name="m")).config
    assert {name: each.string_value for name, each in config.parameters.items()} == {
        f"version_label.{label}": version for label, version in labels.items()
    }


def test_what_is_answered_is_compared_in_the_shadow(server: RunningServer, channel: grpc.Channel) -> None:
    answer = rpc.ImageClassifierStub(channel).Classify(pb.ClassifyRequest(model="m", images=[IMAGE] * 2))
    assert answer.version == 1
    compared = b'seethrough_shadow_images_total{model="m",of="1",outcome="compared",version="2"}'
    until(lambda: compared in ask(server.http, "GET", "/metrics").body)


def test_an_unknown_label_is_not_found_over_http(server: RunningServer) -> None:
    for path in ("/v2/models/m/versions/beta", "/v1/models/m/versions/beta"):
        answer = ask(server.http, "GET", path)
        assert answer.status == 404
        assert "no label 'beta'; there are: canary, stable" in answer.body.decode()


def test_calls_by_a_label_are_counted_for_the_version(server: RunningServer) -> None:
    before, after = (_metadata_calls(server) for _ in range(2))
    assert after == before + 1


def _metadata_calls(server: RunningServer) -> float:
    """How many calls of this kind version 2 has had, after one more."""
    ask(server.http, "GET", "/v2/models/m/versions/canary")
    name = 'seethrough_requests_total{code="OK",model="m",rpc="ModelMetadata",version="2"} '
    page = ask(server.http, "GET", "/metrics").body.decode().splitlines()
    return next(float(line.removeprefix(name)) for line in page if line.startswith(name))
