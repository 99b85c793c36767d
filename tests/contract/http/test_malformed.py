"""Inference requests that are no requests: each is refused with its reason, and the server goes on."""

import json
from typing import Any

import numpy as np
import pytest

from bench.server_process import RunningServer
from tests.contract.http.asking import INFER, ask, infer_binary, infer_json, pixels, tensor

IMAGE = pixels()


def of_elements(text: str) -> bytes:
    """A request whose tensor has these elements."""
    head = json.dumps(tensor(IMAGE, data=0)).replace('"data": 0', f'"data": [{text}]')
    return f'{{"inputs": [{head}]}}'.encode()


NO_JSON = {
    "nothing": (b"", "body: Input data was truncated"),
    "no JSON": (b"hello", "body: JSON is malformed"),
    "a list": (b"[]", "body: Expected `object`, got `array`"),
    "text that is no UTF-8": (b'{"inputs": [], "id": "\xff"}', "body: 'utf-8' codec can't decode"),
    "a surrogate alone": (b'{"inputs": [], "id": "\\ud800"}', "body: "),
    "more after the end": (of_elements("1") + b"x", "body: JSON is malformed: trailing characters"),
    "NaN": (of_elements("NaN"), "body: JSON is malformed"),
    "Infinity": (of_elements("-Infinity"), "body: JSON is malformed"),
    "a huge number": (of_elements("1e400"), "body: Number out of range - at `$.inputs[0].data[0]`"),
    "a huge integer": (of_elements("9" * 5000), "body: Integer value out of range"),
    "a nesting bomb": (of_elements("[" * 100_000), "body: the JSON is nested too deeply"),
    "inputs that are no list": (b'{"inputs": {}}', "Expected `array`, got `object` - at `$.inputs`"),
    "a shape of fractions": (
        json.dumps({"inputs": [tensor(IMAGE, shape=[1.0])]}).encode(),
        "Expected `int`, got `float` - at `$.inputs[0].shape[0]`",
    ),
    "a parameter that is null": (b'{"inputs": [], "parameters": {"timeout": null}}', "got `null`"),
    "no inputs": (b"{}", "Object missing required field `inputs`"),
}


@pytest.mark.parametrize("case", NO_JSON)
def test_a_body_that_is_no_request_is_refused_at_the_place_where_it_is_wrong(server: RunningServer, case: str) -> None:
    body, reason = NO_JSON[case]
    answer = ask(server.http, "POST", INFER, body)
    assert answer.status == 400
    assert reason in answer.error


TENSORS = {
    "ragged": (
        tensor(IMAGE, data=[[1, 2], [3]]),
        "`data` is not nested like shape [1, 12, 16, 3]; it may be flat, too",
    ),
    "numbers beside lists": (tensor(IMAGE, data=[1, [2]]), "`data` is not nested like shape"),
    "numbers beside lists in a flat tensor": (tensor(IMAGE, shape=[2], data=[1, [2]]), "`data` is not nested like"),
    "deeper than the shape": (tensor(IMAGE, data=IMAGE[..., None].tolist()), "`data` is not nested like shape"),
    "other axes": (tensor(IMAGE, data=IMAGE.reshape(1, 16, 12, 3).tolist()), "`data` is not nested like shape"),
    "text": (tensor(IMAGE, data=["a"] * IMAGE.size), "an element is of type str; UINT8 takes int"),
    "truth": (tensor(IMAGE, data=[True] * IMAGE.size), "an element is of type bool; UINT8 takes int"),
    "nothing": (tensor(IMAGE, data=[None] * IMAGE.size), "an element is of type NoneType; UINT8 takes int"),
    "objects": (tensor(IMAGE, data=[{}] * IMAGE.size), "an element is of type dict; UINT8 takes int"),
    "a number as text": (
        tensor(IMAGE, name="image", datatype="BYTES", shape=[1], data=[7]),
        "an element is of type int; BYTES takes bytes",
    ),
    "shared memory": (
        tensor(IMAGE, data=[], parameters={"shared_memory_region": "mine"}),
        "shared memory is not offered; send the contents",
    ),
}


@pytest.mark.parametrize("case", TENSORS)
def test_a_tensor_that_is_none_is_refused_by_name(server: RunningServer, case: str) -> None:
    asked, reason = TENSORS[case]
    answer = infer_json(server.http, {"inputs": [asked]})
    assert answer.status == 400
    assert answer.error.startswith(f"input '{asked['name']}': {reason}")


def binary(size: int, **fields: Any) -> dict[str, Any]:
    return {
        "name": "pixels",
        "datatype": "UINT8",
        "shape": [1, 12, 16, 3],
        "parameters": {"binary_data_size": size},
    } | fields


SIZES = {
    "more than there is": (
        binary(577),
        576,
        "input 'pixels': binary_data_size 577, but 576 bytes are left in the body",
    ),
    "a gibibyte in ten bytes": (binary(1 << 30), 10, "binary_data_size 1,073,741,824, but 10 bytes are left"),
    "less than there is": (binary(576), 600, "body: 24 bytes behind the JSON belong to no input"),
    "not the shape's": (binary(575), 575, "575 raw bytes, UINT8 [1, 12, 16, 3] has 576 of them"),
    "negative": (binary(-1), 0, "Expected `int` >= 0 - at `$.inputs[0].parameters.binary_data_size`"),
    "both": (binary(576, data=[1]), 576, "input 'pixels': both `data` and `binary_data_size`; send one of them"),
}


@pytest.mark.parametrize("case", SIZES)
def test_sizes_are_checked_against_what_came(server: RunningServer, case: str) -> None:
    asked, size, reason = SIZES[case]
    answer = infer_binary(server.http, {"inputs": [asked]}, bytes(size))
    assert answer.status == 400
    assert reason in answer.error


@pytest.mark.parametrize(
    ("length", "reason"),
    [
        ("1000000", "inference-header-content-length: 1,000,000, but the body has 14 bytes"),
        ("-1", "inference-header-content-length: '-1' is no length"),
        ("soon", "inference-header-content-length: 'soon' is no length"),
        ("9" * 30, "is no length"),
        ("0", "body: Input data was truncated"),
    ],
)
def test_a_length_of_the_json_that_cannot_be_is_refused(server: RunningServer, length: str, reason: str) -> None:
    answer = ask(server.http, "POST", INFER, b'{"inputs": []}', inference_header_content_length=length)
    assert answer.status == 400
    assert reason in answer.error


def test_what_json_cannot_carry_is_asked_for_as_binary(server: RunningServer) -> None:
    x = {"name": "x", "datatype": "FP32", "shape": [1, 3], "parameters": {"binary_data_size": 12}}
    offset = {"name": "offset", "datatype": "INT64", "shape": [1], "data": [0]}
    header: dict[str, Any] = {"inputs": [x, offset], "outputs": [{"name": "line"}]}
    data = np.array([1, np.nan, 2], np.float32).tobytes()
    refused = infer_binary(server.http, header, data, "/v2/models/line/infer")
    assert (refused.status, refused.error) == (
        400,
        "output 'line' has NaN or infinity, which JSON cannot carry; ask for binary_data",
    )
    header["parameters"] = {"binary_data_output": True}
    answer = infer_binary(server.http, header, data, "/v2/models/line/infer")
    np.testing.assert_array_equal(np.frombuffer(answer.body[-12:], np.float32), [2, np.nan, 4])


@pytest.mark.parametrize("name", ["config", "file:1/model.onnx"])
def test_a_model_is_loaded_as_it_is_on_disk(server: RunningServer, name: str) -> None:
    body = json.dumps({"parameters": {name: "x"}}).encode()
    answer = ask(server.http, "POST", "/v2/repository/models/shapes/load", body)
    assert answer.status == 400
    assert f"parameters: '{name}' is not supported" in answer.error


def test_loading_what_is_not_there_is_not_found(server: RunningServer) -> None:
    assert ask(server.http, "POST", "/v2/repository/models/nobody/load").status == 404


def test_the_index_lists_every_version_or_only_those_in_service(server: RunningServer) -> None:
    every, ready = (
        {(each["name"], each["version"], each["state"]) for each in ask(server.http, "POST", path, body).json}
        for path, body in (("/v2/repository/index", b""), ("/v2/repository/index", b'{"ready": true}'))
    )
    assert ("shapes", "7", "UNAVAILABLE") in every
    assert ready == {each for each in every if each[2] == "READY"}
    assert ("shapes", "3", "READY") in ready
