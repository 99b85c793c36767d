"""Requests that are wrong, each with a part of the reason that its caller must be told.

Written much as the protocol writes JSON, which is shorter than messages; "raw" instead of "data" has raw contents.
"""

import struct
from typing import Any

from proto import open_inference_pb2 as pb

Body = dict[str, Any]

IMAGE_BYTES = 12 * 16 * 3
FIELDS = {"INT64": "int64_contents", "FP32": "fp32_contents", "FP64": "fp64_contents", "FLOAT": "fp32_contents"}


def as_message(path: str, body: Body) -> pb.ModelInferRequest:
    """The request as a message; `path` is MODEL or MODEL/versions/VERSION."""
    model, _, version = path.partition("/versions/")
    message = pb.ModelInferRequest(model_name=model, model_version=version, parameters=_parameters(body))
    for each in body["inputs"]:
        tensor = message.inputs.add(name=each["name"], datatype=each["datatype"], shape=each["shape"])
        if "raw" in each:
            message.raw_input_contents.append(each["raw"])
        else:
            getattr(tensor.contents, FIELDS[each["datatype"]]).extend(each["data"])
    for each in body.get("outputs", []):
        message.outputs.add(name=each["name"], parameters=_parameters(each))
    return message


def _parameters(of: Body) -> dict[str, pb.InferParameter]:
    made = {}
    for name, value in of.get("parameters", {}).items():
        made[name] = pb.InferParameter(**{"string_param" if isinstance(value, str) else "int64_param": value})
    return made


def tensor(name: str, datatype: str, shape: list[int], *data: Any) -> Body:
    return {"name": name, "datatype": datatype, "shape": shape, "data": list(data)}


def raw(name: str, datatype: str, shape: list[int], contents: bytes) -> Body:
    return {"name": name, "datatype": datatype, "shape": shape, "raw": contents}


def request(*inputs: Body, **fields: Any) -> Body:
    return {"inputs": list(inputs), **fields}


def element(data: bytes, length: int | None = None) -> bytes:
    """A raw element of BYTES, with its own length or a false one."""
    return struct.pack("<I", len(data) if length is None else length) + data


X = tensor("x", "FP32", [1, 3], 1.0, 2.0, 3.0)
OFFSET = tensor("offset", "INT64", [1], 7)
PIXELS = raw("pixels", "UINT8", [1, 12, 16, 3], bytes(IMAGE_BYTES))


def of_x(*, datatype: str = "FP32", shape: list[int], data: tuple[Any, ...] = (1.0, 2.0, 3.0)) -> Body:
    return request(tensor("x", datatype, shape, *data), OFFSET)


def raw_x(shape: list[int], contents: bytes) -> Body:
    return request(raw("x", "FP32", shape, contents), raw("offset", "INT64", [1], bytes(8)))


def of_targets(shape: list[int], *data: int) -> Body:
    return request(PIXELS, raw("targets", "INT64", shape, struct.pack(f"<{len(data)}q", *data)))


# The model's path, the request, and what the reason must say.
WRONG: dict[str, tuple[str, Body, str]] = {
    "no inputs": ("line", request(), "inputs: the request has none; the model takes x (FP32), offset (INT64)"),
    "an input missing": ("line", request(X), "inputs: offset missing"),
    "an unknown input": (
        "line",
        request(X, OFFSET, tensor("z", "FP32", [1], 1.0)),
        "inputs: no 'z'; the model takes x",
    ),
    "an input twice": ("line", request(X, OFFSET, X), "inputs: 'x' comes twice"),
    "another datatype": ("line", of_x(datatype="FP64", shape=[1, 3]), "'x': datatype FP64, the model takes FP32"),
    "no datatype": ("line", of_x(datatype="FLOAT", shape=[1, 3]), "'x': no datatype 'FLOAT'; the protocol has BOOL"),
    "another rank": ("line", of_x(shape=[3]), "'x': shape [3], the model takes [-1, 3]"),
    "another size": ("line", of_x(shape=[1, 4], data=(1.0,) * 4), "'x': shape [1, 4], the model takes [-1, 3]"),
    "an empty batch": ("line", of_x(shape=[0, 3], data=()), "'x': shape [0, 3], the model takes [-1, 3]"),
    "a negative size": ("line", of_x(shape=[-1, 3]), "'x': shape [-1, 3], the model takes [-1, 3]"),
    "a huge size": ("line", of_x(shape=[1 << 62, 3]), "'x': a batch of 4,611,686,018,427,387,904; the server takes"),
    "too few elements": ("line", of_x(shape=[2, 3]), "'x': 3 elements, shape [2, 3] has 6"),
    "too many elements": ("line", of_x(shape=[1, 3], data=(1.0,) * 4), "'x': 4 elements, shape [1, 3] has 3"),
    "batches that differ": (
        "line",
        request(tensor("x", "FP32", [2, 3], *[1.0] * 6), OFFSET),
        "inputs: 'x' has a batch of 2, 'offset' one of 1",
    ),
    "raw bytes missing": ("line", raw_x([1, 3], bytes(11)), "'x': 11 raw bytes, FP32 [1, 3] has 12 of them"),
    "raw bytes left over": ("line", raw_x([1, 3], bytes(13)), "'x': 13 raw bytes, FP32 [1, 3] has 12 of them"),
    "1 GiB declared in 10 bytes": (
        "line",
        raw_x([89_478_486, 3], bytes(10)),
        "a batch of 89,478,486; the server takes at most 512 in one request; split it",
    ),
    "2^63 elements in 10 bytes": (
        "line",
        raw_x([(1 << 63) - 1, 3], bytes(10)),
        "a batch of 9,223,372,036,854,775,807; the server takes at most 512",
    ),
    "an unknown output": ("line", request(X, OFFSET, outputs=[{"name": "z"}]), "outputs: no 'z'; the model gives line"),
    "an output twice": (
        "line",
        request(X, OFFSET, outputs=[{"name": "line"}, {"name": "line"}]),
        "outputs: 'line' comes twice",
    ),
    "less than no classes": (
        "line",
        request(X, OFFSET, outputs=[{"name": "line", "parameters": {"classification": -1}}]),
        "'line': classification -1; it is how many classes",
    ),
    "a negative timeout": ("line", request(X, OFFSET, parameters={"timeout": -1}), "parameters: timeout '-1'"),
    "a timeout in words": ("line", request(X, OFFSET, parameters={"timeout": "soon"}), "parameters: timeout 'soon'"),
    "a negative priority": ("line", request(X, OFFSET, parameters={"priority": -1}), "parameters: priority '-1'"),
    "neither pixels nor image": (
        "shapes",
        request(raw("targets", "INT64", [1, 1], bytes(8))),
        "inputs: send either `pixels` or `image`, exactly one of the two",
    ),
    "pixels and image": (
        "shapes",
        request(PIXELS, raw("image", "BYTES", [1], element(b"x"))),
        "inputs: send either `pixels` or `image`, exactly one of the two",
    ),
    "pixels of another shape": (
        "shapes",
        request(raw("pixels", "UINT8", [1, 16, 12, 3], bytes(IMAGE_BYTES))),
        "'pixels': shape [1, 16, 12, 3], the model takes [-1, 12, 16, 3]",
    ),
    "no picture": (
        "shapes",
        request(raw("image", "BYTES", [1], element(b"hello, world"))),
        "not a picture that can be read",
    ),
    "an element beyond the end": (
        "shapes",
        request(raw("image", "BYTES", [1], element(b"x", 1 << 30))),
        "'image': element 0 reaches beyond the 5 raw bytes",
    ),
    "bytes behind the last element": (
        "shapes",
        request(raw("image", "BYTES", [1], element(b"x") + b"y")),
        "'image': 1 elements take 5 raw bytes, 6 came",
    ),
    "half a length": (
        "shapes",
        request(raw("image", "BYTES", [2], element(b"") + b"\0\0\0")),
        "'image': 7 raw bytes cannot",
    ),
    "2^30 elements in 10 bytes": (
        "shapes",
        request(raw("image", "BYTES", [1 << 30], bytes(10))),
        "'image': a batch of 1,073,741,824; the server takes at most 512 in one request; split it",
    ),
    "200,000 empty pictures": (
        "shapes",
        request(raw("image", "BYTES", [200_000], bytes(800_000))),
        "'image': a batch of 200,000; the server takes at most 512 in one request",
    ),
    "targets of another batch": ("shapes", of_targets([2, 1], 0, 0), "'pixels' has a batch of 1, 'targets' one of 2"),
    "a class that is not there": ("shapes", of_targets([1, 1], 3), "'targets': 3 of a model with 3 classes"),
    "a rank that is not there": ("shapes", of_targets([1, 1], -4), "'targets': -4 of a model with 3 classes"),
    "too many targets": ("shapes", of_targets([1, 17], *[0] * 17), "'targets': 17 classes for each image; the server"),
    "an unknown method": (
        "shapes",
        of_targets([1, 1], 0) | {"parameters": {"method": "hirescam"}},
        "parameters: method 'hirescam'; the model explains by: gradcam",
    ),
    "a version with a sign": (
        "line/versions/-newest",
        request(X, OFFSET),
        "version: '-newest'; a version is a positive number",
    ),
    "version 0": ("line/versions/0", request(X, OFFSET), "version: '0'; a version is a positive number"),
}
