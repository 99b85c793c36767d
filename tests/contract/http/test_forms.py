"""The two forms of inference over HTTP, all in JSON or with binary data behind it, and their compressed bodies."""

import gzip
import json
import zlib
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.server_process import RunningServer
from tests.contract.http.asking import Answer, ask, infer_binary, infer_json, pixels, png, tensor

IMAGES = pixels(images=2)


def binary_tensor(array: NDArray[np.uint8], **fields: Any) -> dict[str, Any]:
    """The input `pixels` as binary data."""
    return {**tensor(array, **fields), "data": None, "parameters": {"binary_data_size": array.nbytes}}


def without_none(inputs: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in inputs.items() if value is not None}


def ask_binary(server: RunningServer, outputs: list[dict[str, Any]], **parameters: Any) -> Answer:
    header = {"inputs": [without_none(binary_tensor(IMAGES))], "outputs": outputs, "parameters": parameters}
    return infer_binary(server.http, header, IMAGES.tobytes())


def parts(answer: Answer) -> tuple[Any, bytes]:
    """The JSON of an answer, and the binary data behind it."""
    length = int(answer.headers["inference-header-content-length"])
    return json.loads(answer.body[:length]), answer.body[length:]


@pytest.fixture(scope="module")
def expected(server: RunningServer) -> NDArray[np.float32]:
    """The probabilities [2, 3] of IMAGES, all in JSON."""
    (output,) = infer_json(server.http, {"inputs": [tensor(IMAGES)]}).json["outputs"]
    assert (output["name"], output["datatype"], output["shape"]) == ("probabilities", "FP32", [2, 3])
    return np.array(output["data"], np.float32).reshape(2, 3)


def test_flat_data_is_as_good_as_nested(server: RunningServer, expected: NDArray[np.float32]) -> None:
    (output,) = infer_json(server.http, {"inputs": [tensor(IMAGES, data=IMAGES.ravel().tolist())]}).json["outputs"]
    assert output["data"] == expected.ravel().tolist()


def test_binary_in_and_out_is_the_same_to_the_bit(server: RunningServer, expected: NDArray[np.float32]) -> None:
    answer = ask_binary(server, [{"name": "probabilities", "parameters": {"binary_data": True}}])
    header, binary = parts(answer)
    assert answer.headers["content-type"] == "application/octet-stream"
    assert header["outputs"][0]["parameters"] == {"binary_data_size": 24}
    assert binary == expected.tobytes()


def test_outputs_are_json_unless_asked_for_as_binary(server: RunningServer, expected: NDArray[np.float32]) -> None:
    answer = ask_binary(server, [])
    assert "inference-header-content-length" not in answer.headers
    assert answer.json["outputs"][0]["data"] == expected.ravel().tolist()


def test_binary_data_output_is_for_all_outputs_and_binary_data_for_one(server: RunningServer) -> None:
    outputs: list[dict[str, Any]] = [
        {"name": "heatmaps"},
        {"name": "probabilities", "parameters": {"binary_data": False}},
    ]
    header, binary = parts(ask_binary(server, outputs, binary_data_output=True))
    heatmaps, probabilities = header["outputs"]
    assert heatmaps["shape"] == [2, 1, 10, 14]
    assert heatmaps["parameters"]["binary_data_size"] == len(binary) == 2 * 10 * 14 * 4
    assert len(probabilities["data"]) == 6


def test_pictures_travel_as_binary_bytes(server: RunningServer, expected: NDArray[np.float32]) -> None:
    files = [png(image) for image in IMAGES]
    binary = b"".join(len(file).to_bytes(4, "little") + file for file in files)
    asked = {"name": "image", "datatype": "BYTES", "shape": [2], "parameters": {"binary_data_size": len(binary)}}
    (output,) = infer_binary(server.http, {"inputs": [asked]}, binary).json["outputs"]
    assert output["data"] == expected.ravel().tolist()


def test_classification_is_text_in_json_and_bytes_with_lengths_in_binary(server: RunningServer) -> None:
    asked: dict[str, Any] = {"name": "probabilities", "parameters": {"classification": 1}}
    (output,) = ask_binary(server, [asked]).json["outputs"]
    asked["parameters"]["binary_data"] = True
    header, binary = parts(ask_binary(server, [asked]))
    assert (output["datatype"], output["shape"]) == ("BYTES", [2, 1])
    assert binary == b"".join(len(text).to_bytes(4, "little") + text.encode() for text in output["data"])
    assert header["outputs"][0]["datatype"] == "BYTES"


def test_the_id_comes_back_and_only_if_there_was_one(server: RunningServer) -> None:
    assert infer_json(server.http, {"inputs": [tensor(IMAGES)], "id": "order-66"}).json["id"] == "order-66"
    assert "id" not in infer_json(server.http, {"inputs": [tensor(IMAGES)]}).json


@pytest.mark.parametrize(("coding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_bodies_may_be_compressed_both_ways(server: RunningServer, coding: str, pack: Any) -> None:
    body = json.dumps({"inputs": [tensor(IMAGES)], "outputs": [{"name": "heatmaps"}]}).encode()
    plain = ask(server.http, "POST", "/v2/models/shapes/infer", body)
    packed = ask(
        server.http, "POST", "/v2/models/shapes/infer", pack(body), content_encoding=coding, accept_encoding=coding
    )
    assert packed.headers["content-encoding"] == coding
    assert zlib.decompress(packed.body, 32 + zlib.MAX_WBITS) == plain.body


@pytest.mark.parametrize("accepted", ["", "br", "gzip;q=0, identity"])
def test_who_does_not_take_compressed_answers_gets_none(server: RunningServer, accepted: str) -> None:
    asked = {"inputs": [tensor(IMAGES)], "outputs": [{"name": "heatmaps"}]}
    answer = infer_json(server.http, asked, accept_encoding=accepted)
    assert "content-encoding" not in answer.headers
    assert answer.json["outputs"]


def test_small_answers_are_not_compressed(server: RunningServer) -> None:
    assert (
        "content-encoding" not in infer_json(server.http, {"inputs": [tensor(IMAGES)]}, accept_encoding="gzip").headers
    )


def test_stages_are_told_in_milliseconds(server: RunningServer) -> None:
    timing = infer_json(server.http, {"inputs": [tensor(IMAGES)]}).headers["server-timing"]
    stages = dict(stage.split(";dur=") for stage in timing.split(", "))
    assert list(stages) == ["decode", "queue", "infer", "render", "total"]
    assert 0 < float(stages["infer"]) <= float(stages["total"])


def test_a_request_id_is_echoed_and_made_when_there_is_none(server: RunningServer) -> None:
    given = ask(server.http, "GET", "/v2", x_request_id="order-66").headers["x-request-id"]
    made = [ask(server.http, "GET", "/v2").headers["x-request-id"] for _ in range(2)]
    assert given == "order-66"
    assert len({*made, ""}) == 3
