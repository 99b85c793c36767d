"""What the gRPC port answers and refuses, the HTTP port answers and refuses alike."""

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf.message import Message

from bench.server_process import RunningServer
from proto import classifier_pb2 as pb
from proto import classifier_pb2_grpc as rpc
from proto import open_inference_pb2 as v2
from proto import open_inference_pb2_grpc as v2_rpc
from server.transport.status import CODES
from tests.contract.http.asking import Answer, ask, infer_json, pixels, png, tensor

Stub = rpc.ImageClassifierStub

STATUS = dict(CODES.values())


@dataclass(frozen=True)
class Case:
    """A question to classify one image, in the words of both."""

    image: bytes
    query: str = ""
    fields: dict[str, Any] = field(default_factory=dict)
    model: str = "shapes"
    version: int = 0


PICTURE = png(pixels()[0])
LABELLED = pb.Explain(targets=[pb.Target(label="circle"), pb.Target(label="star")])
ANSWERED = {
    "one class": Case(PICTURE),
    "three classes": Case(PICTURE, "top=3", {"top_k": 3}),
    "more classes than there are": Case(PICTURE, "top=99", {"top_k": 99}),
    "a version": Case(PICTURE, "top=3", {"top_k": 3}, version=1),
    "a binary classifier": Case(PICTURE, model="pair"),
    "several labels": Case(PICTURE, "top=4", {"top_k": 4}, model="traits"),
    "a grid": Case(PICTURE, "explain=grid", {"explain": pb.Explain()}),
    "two classes explained": Case(PICTURE, "class=circle&class=star", {"explain": LABELLED}),
    "a method": Case(PICTURE, "method=layercam", {"explain": pb.Explain(method="layercam")}, model="traits"),
    "a heatmap": Case(PICTURE, "explain=heatmap", {"explain": pb.Explain(format=pb.HEATMAP_FORMAT_HEATMAP_PNG)}),
    "an overlay": Case(PICTURE, "explain=overlay", {"explain": pb.Explain(format=pb.HEATMAP_FORMAT_OVERLAY_PNG)}),
}
REFUSED = {
    "no picture": Case(b"hello, world"),
    "nothing": Case(b""),
    "a truncated picture": Case(PICTURE[:-100]),
    "no such model": Case(PICTURE, model="nobody"),
    "no such version": Case(PICTURE, version=2),
    "a refused model": Case(PICTURE, model="flipped"),
    "no such label": Case(PICTURE, "class=cat", {"explain": pb.Explain(targets=[pb.Target(label="cat")])}),
    "no such method": Case(PICTURE, "method=hirescam", {"explain": pb.Explain(method="hirescam")}),
    "too many classes": Case(
        PICTURE, "&".join(["class=star"] * 17), {"explain": pb.Explain(targets=[pb.Target(label="star")] * 17)}
    ),
}


@pytest.mark.parametrize("case", ANSWERED | REFUSED)
def test_classify_is_the_same_over_grpc_and_http(stub: Stub, server: RunningServer, case: str) -> None:
    asked = (ANSWERED | REFUSED)[case]
    version = f"/versions/{asked.version}" if asked.version else ""
    over_http = ask(server.http, "POST", f"/v1/models/{asked.model}{version}:classify?{asked.query}", asked.image)
    image = pb.Image(encoded=asked.image)
    request = pb.ClassifyRequest(model=asked.model, version=asked.version, images=[image], **asked.fields)
    assert (over_http.status == HTTPStatus.OK) == (case in ANSWERED)
    assert answer_or_refusal(over_http, answered) == called(stub.Classify, request, lambda it: answered(to_json(it)))


def answer_or_refusal(answer: Answer, read: Callable[[Any], Any]) -> Any:
    """What `read` finds in an answer, or status and reason of a refusal."""
    return read(answer.json) if answer.status == HTTPStatus.OK else (answer.status, answer.error)


def called(call: Callable[[Any], Any], request: Message, read: Callable[[Any], Any]) -> Any:
    """The same of a gRPC call, its code as the HTTP status."""
    try:
        response = call(request)
    except grpc.RpcError as error:
        return STATUS[error.code()], error.details()
    return read(response)


def answered(reply: dict[str, Any]) -> Any:
    """What the same question must always be answered: without times and ids."""
    results = [{name: each[name] for name in ("predictions", "explanations")} for each in reply["results"]]
    return reply["model"], reply["version"], results


def to_json(response: pb.ClassifyResponse) -> dict[str, Any]:
    """The message in the form of the HTTP port."""
    results = []
    for result in response.results:
        predictions = [class_of(each) for each in result.predictions]
        results.append(
            {"predictions": predictions, "explanations": [explanation(each) for each in result.explanations]}
        )
    return {"model": response.model, "version": response.version, "results": results}


def class_of(message: pb.Prediction | pb.Explanation) -> dict[str, Any]:
    return {"class_index": message.class_index, "label": message.label, "probability": message.probability}


def explanation(message: pb.Explanation) -> dict[str, Any]:
    if message.WhichOneof("heatmap") == "png":
        heatmap: dict[str, Any] = {"png": base64.b64encode(message.png).decode()}
    else:
        grid = message.grid
        values = np.reshape(grid.values, (grid.height, grid.width)).tolist()
        heatmap = {
            "grid": {"values": values, **{side: getattr(grid, side) for side in ("left", "top", "right", "bottom")}}
        }
    return {**class_of(message), "method": message.method, **heatmap}


def test_the_models_are_the_same_over_grpc_and_http(stub: Stub, server: RunningServer) -> None:
    over_http = ask(server.http, "GET", "/v1/models").json["models"]
    over_grpc = stub.ListModels(pb.ListModelsRequest()).models
    for ours, theirs in zip(over_http, over_grpc, strict=True):
        assert (ours["name"], ours["version"], ours["reason"]) == (theirs.name, theirs.version, theirs.reason)
        assert pb.ModelState.Value(f"MODEL_STATE_{ours['state'].upper()}") == theirs.state
        assert ours["is_default"] == theirs.is_default
        assert (ours.get("kind", ""), ours.get("labels", [])) == (theirs.kind, list(theirs.labels))
        assert ours.get("provenance", {}) == dict(theirs.provenance)
        assert ask(server.http, "GET", f"/v1/models/{theirs.name}/versions/{theirs.version}").json == ours


Inference = tuple[str, list[dict[str, Any]], dict[str, Any]]  # model, inputs, outputs and parameters
GOOD = pixels(images=2)
INFERRED: dict[str, Inference] = {
    "raw pixels": ("shapes", [tensor(GOOD)], {}),
    "targets": ("shapes", [tensor(GOOD), tensor(np.array([[-1, 2], [0, -2]]), name="targets", datatype="INT64")], {}),
    "heatmaps by name": ("shapes", [tensor(GOOD)], {"outputs": ["heatmaps"]}),
    "classification": ("shapes", [tensor(GOOD)], {"outputs": ["probabilities"], "classification": 2}),
    "a method": ("traits", [tensor(GOOD)], {"outputs": ["heatmaps"], "parameters": {"method": "layercam"}}),
    "tensors": (
        "line",
        [
            tensor(np.arange(6).reshape(2, 3) / 4, name="x", datatype="FP32"),
            tensor(np.array([7, 8]), name="offset", datatype="INT64"),
        ],
        {},
    ),
}
NOT_INFERRED: dict[str, Inference] = {
    "no inputs": ("shapes", [], {}),
    "an unknown input": ("shapes", [tensor(GOOD, name="cat")], {}),
    "an input twice": ("shapes", [tensor(GOOD), tensor(GOOD)], {}),
    "a wrong datatype": ("shapes", [tensor(GOOD, datatype="INT64")], {}),
    "an unknown datatype": ("shapes", [tensor(GOOD, datatype="UINT9")], {}),
    "a wrong shape": ("shapes", [tensor(GOOD.reshape(2, 16, 12, 3))], {}),
    "a negative shape": ("shapes", [tensor(GOOD, shape=[-2, 12, 16, 3], data=GOOD.ravel().tolist())], {}),
    "a huge shape": ("shapes", [tensor(GOOD, shape=[2**40, 12, 16, 3], data=[1])], {}),
    "too few elements": ("shapes", [tensor(GOOD, data=[1, 2, 3])], {}),
    "an element out of range": ("shapes", [tensor(GOOD, data=[256] * GOOD.size)], {}),
    "no contents": ("shapes", [tensor(GOOD, data=None)], {}),
    "an unknown output": ("shapes", [tensor(GOOD)], {"outputs": ["cats"]}),
    "an output twice": ("shapes", [tensor(GOOD)], {"outputs": ["heatmaps", "heatmaps"]}),
    "a negative timeout": ("shapes", [tensor(GOOD)], {"parameters": {"timeout": -1}}),
    "a priority that is text": ("shapes", [tensor(GOOD)], {"parameters": {"priority": "high"}}),
    "no such method": ("shapes", [tensor(GOOD)], {"outputs": ["heatmaps"], "parameters": {"method": "guess"}}),
    "no such model": ("nobody", [tensor(GOOD)], {}),
    "a refused model": ("flipped", [tensor(GOOD)], {}),
}
CONTENTS = {"UINT8": "uint_contents", "INT64": "int64_contents", "FP32": "fp32_contents"}


@pytest.mark.parametrize("case", INFERRED | NOT_INFERRED)
def test_inference_is_the_same_over_grpc_and_http(server: RunningServer, case: str) -> None:
    model, inputs, options = (INFERRED | NOT_INFERRED)[case]
    body = {"inputs": [{name: value for name, value in each.items() if value is not None} for each in inputs]}
    over_http = infer_json(server.http, body | to_options(options), f"/v2/models/{model}/infer")
    assert (over_http.status == HTTPStatus.OK) == (case in INFERRED)
    with grpc.insecure_channel(server.grpc) as channel:
        call = v2_rpc.GRPCInferenceServiceStub(channel).ModelInfer
        assert answer_or_refusal(over_http, of_json) == called(call, to_message(model, inputs, options), of_message)


def of_json(reply: dict[str, Any]) -> Any:
    outputs = [[each[name] for name in ("name", "datatype", "shape", "data")] for each in reply["outputs"]]
    return reply["model_name"], reply["model_version"], outputs


def of_message(response: v2.ModelInferResponse) -> Any:
    outputs = [[each.name, each.datatype, list(each.shape), elements(each)] for each in response.outputs]
    return response.model_name, response.model_version, outputs


def to_options(options: dict[str, Any]) -> dict[str, Any]:
    """Outputs and parameters in JSON."""
    parameters = {name: options[name] for name in ("classification",) if name in options}
    outputs = [{"name": name, "parameters": parameters} for name in options.get("outputs", [])]
    return {"outputs": outputs, "parameters": options.get("parameters", {})}


def to_message(model: str, inputs: list[dict[str, Any]], options: dict[str, Any]) -> v2.ModelInferRequest:
    message = v2.ModelInferRequest(model_name=model)
    for each in inputs:
        made = message.inputs.add(name=each["name"], datatype=each["datatype"], shape=each["shape"])
        if each["data"] is not None:
            contents = getattr(made.contents, CONTENTS.get(each["datatype"], "uint_contents"))
            contents.extend(np.ravel(each["data"]).tolist())
    for name in options.get("outputs", []):
        output = message.outputs.add(name=name)
        if "classification" in options:
            output.parameters["classification"].int64_param = options["classification"]
    for name, value in options.get("parameters", {}).items():
        kind = "string_param" if isinstance(value, str) else "int64_param"
        setattr(message.parameters[name], kind, value)
    return message


def elements(output: v2.ModelInferResponse.InferOutputTensor) -> list[Any]:
    """The typed contents, text decoded."""
    ((_, values),) = output.contents.ListFields()
    return [value.decode() if isinstance(value, bytes) else value for value in values]
