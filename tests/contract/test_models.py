"""What ListModels and GetModel say, and which bundles the server refuses."""

import grpc
import pytest

from proto import classifier_pb2 as pb
from proto import classifier_pb2_grpc as rpc
from tests.contract.refusals import refusal

Stub = rpc.ImageClassifierStub


@pytest.mark.parametrize(
    ("name", "version", "reason"),
    [
        ("flipped", 1, "golden.npz: changed since export"),
        ("keyless", 1, "manifest.json: Object missing required field `provenance`"),
        ("wrong", 1, "golden check: probabilities differ from the trained model's by"),
        ("shapes", 7, "model.onnx: changed since export"),
    ],
)
def test_a_bad_bundle_is_refused_by_name_and_reason(stub: Stub, name: str, version: int, reason: str) -> None:
    model = stub.GetModel(pb.GetModelRequest(model=name, version=version))
    assert model.state == pb.MODEL_STATE_REFUSED
    assert reason in model.reason
    assert not model.is_default


def test_a_refused_model_does_not_answer_and_says_why(stub: Stub) -> None:
    code, reason = refusal(stub.Classify, pb.ClassifyRequest(model="flipped", images=[pb.Image(encoded=b"x")]))
    assert code == grpc.StatusCode.UNAVAILABLE
    assert "refused" in reason
    assert "golden.npz" in reason


def test_every_version_is_listed_by_name_and_number_and_nothing_else(stub: Stub) -> None:
    models = stub.ListModels(pb.ListModelsRequest()).models
    names = [
        "digits 1",
        "flipped 1",
        "keyless 1",
        "line 1",
        "pair 1",
        "shapes 1",
        "shapes 3",
        "shapes 7",
        "traits 1",
        "wrong 1",
    ]
    assert [f"{model.name} {model.version}" for model in models] == names


def test_the_highest_version_in_service_is_the_default(stub: Stub) -> None:
    models = stub.ListModels(pb.ListModelsRequest()).models
    assert [model.version for model in models if model.name == "shapes" and model.is_default] == [3]
    assert stub.GetModel(pb.GetModelRequest(model="shapes")).version == 3


def test_a_model_in_service_tells_what_a_client_needs(stub: Stub) -> None:
    model = stub.GetModel(pb.GetModelRequest(model="shapes", version=1))
    assert model.state == pb.MODEL_STATE_SERVING
    assert (model.kind, list(model.explanations)) == ("multiclass", ["gradcam"])
    assert list(model.labels) == ["circle", "square", "star"]
    assert (model.input_height, model.input_width, model.input_channels) == (12, 16, 3)
    assert (model.heatmap_height, model.heatmap_width) == (10, 14)
    assert (model.engine, model.precision, model.device) == ("onnxruntime", "fp32", "cpu")
    assert (model.provenance["source"], model.provenance["recipe"]) == ("tests", "random")
    assert "library.onnxruntime" in model.provenance
    assert model.loaded_at.seconds > 0


@pytest.mark.parametrize(
    ("name", "version", "code", "text"),
    [
        ("nobody", 0, grpc.StatusCode.NOT_FOUND, "no model 'nobody'; there are: digits, flipped"),
        ("shapes", 2, grpc.StatusCode.NOT_FOUND, "model 'shapes' has no version 2; there are: 1, 3, 7"),
        ("shapes", -1, grpc.StatusCode.INVALID_ARGUMENT, "version: -1; versions are positive"),
    ],
)
def test_an_unknown_model_or_version_is_named_with_what_there_is(
    stub: Stub, name: str, version: int, code: grpc.StatusCode, text: str
) -> None:
    found, reason = refusal(stub.GetModel, pb.GetModelRequest(model=name, version=version))
    assert found == code
    assert text in reason
