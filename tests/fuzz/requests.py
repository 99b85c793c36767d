"""python -m tests.fuzz.requests CORPUS [libFuzzer's options]: whatever the bytes, a request becomes a job or a typed error."""

import asyncio
import logging
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import atheris  # type: ignore[import-untyped]

with atheris.instrument_imports(include=["server", "python_multipart"]):
    from google.protobuf.message import DecodeError

    from proto import classifier_pb2, open_inference_pb2
    from server.batching.policy import Priority
    from server.errors import ServerError
    from server.serving.jobs import Running, RunningTensors, TensorInfo
    from server.transport import convert
    from server.transport.http import body, headers, multipart, query, v2_wire
    from server.transport.http.asgi import HttpError, Message
    from server.transport.http.budget import Budget
    from server.transport.http.v1_bodies import VersionedClassifyQuery
    from server.transport.v2 import grpc_messages, parameters, requests
    from server.transport.v2.requests import Frame
    from server.transport.v2.values import InferRequest
from tests.fuzz import seeds

LIMIT = 1 << 20
FRAME = Frame(None, "id", 0.0, None, Priority.NORMAL, 64)
CLASSIFIER = Running(
    kind="multiclass",
    labels=("a", "b", "c"),
    explanations=("gradcam", "layercam"),
    input_shape=(2, 2, 1),
    heatmap_shape=(1, 1),
    max_batch=8,
    engine="",
    precision="",
    device="",
    loaded_at=0.0,
    provenance={},
)
KINDS = ("bool", "uint8", "int16", "uint64", "int64", "float16", "float32", "float64")
TENSORS = RunningTensors(
    inputs=tuple(TensorInfo(kind, kind, (-1, 2)) for kind in KINDS),
    outputs=(TensorInfo("y", "float32", (-1,)),),
    parameters={},
    max_batch=8,
    engine="",
    precision="",
    device="",
    loaded_at=0.0,
    provenance={},
)


def classify(data: bytes) -> None:
    convert.to_job(classifier_pb2.ClassifyRequest.FromString(data), "id", 0.0, None)


def infer(data: bytes) -> None:
    _jobs(grpc_messages.to_request(open_inference_pb2.ModelInferRequest.FromString(data)))


def json(data: bytes) -> None:
    _jobs(v2_wire.decode(data, None, "m", "")[0])


def binary(data: bytes) -> None:
    """The first two bytes are the header that tells where the JSON ends."""
    _jobs(v2_wire.decode(data[2:], int.from_bytes(data[:2], "big"), "m", "1")[0])


def form(data: bytes) -> None:
    assert sum(map(len, multipart.files(data, b"multipart/form-data; boundary=x"))) <= len(data)


def packed(data: bytes) -> None:
    for encoding in (b"gzip", b"identity", b"br"):
        assert len(_run(_read(data, {b"content-encoding": encoding}))) <= LIMIT


def asked(data: bytes) -> None:
    query.read(data, VersionedClassifyQuery)


def headed(data: bytes) -> None:
    names = (b"x-request-id", b"grpc-timeout", b"accept-encoding", b"accept")
    given = dict(zip(names, data.split(b"\n"), strict=False))
    headers.coding(given)
    headers.media_types(given)
    headers.request_id(given)
    headers.timeout(given)


# The first byte of an input says which one it is for, in the order of `seeds.requests`.
TARGETS: tuple[Callable[[bytes], None], ...] = (classify, infer, json, binary, form, packed, asked, headed)


def _jobs(request: InferRequest) -> None:
    """What every kind of model makes of a request."""
    for make in (
        lambda: requests.classifier_job(request, CLASSIFIER, FRAME),
        lambda: requests.tensor_job(request, TENSORS, FRAME),
        lambda: parameters.shortened(None, 0.0, request.parameters),
    ):
        try:
            make()
        except ServerError:
            continue


async def _read(data: bytes, given: dict[bytes, bytes]) -> bytes:
    half = len(data) // 2
    messages: list[Message] = [
        {"type": "http.request", "body": data[:half], "more_body": True},
        {"type": "http.request", "body": data[half:]},
    ]

    async def receive() -> Message:
        return messages.pop(0)

    with Budget(3 * LIMIT).share() as share:
        return await body.read(receive, given, LIMIT, share)


def _run(work: Coroutine[Any, Any, bytes]) -> bytes:
    return _LOOP.run_until_complete(work)


def one_input(data: bytes) -> None:
    """Passes an input to its target."""
    try:
        TARGETS[data[0] % len(TARGETS) if data else 0](data[1:])
    except (ServerError, HttpError, DecodeError):  # DecodeError: `grpc_methods` has made it one already
        return


_LOOP = asyncio.new_event_loop()

if __name__ == "__main__":
    logging.disable()
    seeds.write(Path(sys.argv[1]), seeds.requests())
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
