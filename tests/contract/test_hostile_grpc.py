"""Bytes on the gRPC port that are no request, and requests at the limits: exact statuses, and not a word in the log."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from bench.server_process import RunningServer, serving
from proto import classifier_pb2 as pb
from proto import classifier_pb2_grpc as rpc
from tests.bundles import make_bundle
from tests.contract.refusals import refusal

GARBAGE = b"\xff\xff\xff"
LIMIT = (1 << 20) + 64 * 1024  # --max-request-mib, and room for what is around the images
CLASSIFIER = [f"/seethrough.v1.ImageClassifier/{name}" for name in ("Classify", "ListModels", "GetModel")]
V2 = [
    f"/inference.GRPCInferenceService/{name}"
    for name in (
        *(
            "ServerLive",
            "ServerReady",
            "ServerMetadata",
            "ModelReady",
            "ModelMetadata",
            "ModelConfig",
            "ModelStatistics",
        ),
        *("ModelInfer", "RepositoryIndex", "RepositoryModelLoad", "RepositoryModelUnload"),
    )
]
SINGLE = [*CLASSIFIER, *V2, "/grpc.health.v1.Health/Check"]
STREAMS = ["/seethrough.v1.ImageClassifier/ClassifyStream", "/inference.GRPCInferenceService/ModelStreamInfer"]
REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile") / "log"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, log: Path) -> Iterator[RunningServer]:
    models = tmp_path_factory.mktemp("models")
    make_bundle(models / "shapes/1")
    options = ("--max-request-mib", "1", "--max-connections", "50", "--image-formats", "png")
    with log.open("w") as file, serving(models, *options, log=file) as started:
        yield started


@pytest.fixture
def channel(running: RunningServer) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(running.grpc) as opened:
        yield opened


def single(channel: grpc.Channel, method: str) -> "grpc.UnaryUnaryMultiCallable[bytes, bytes]":
    """A method, asked in bytes."""
    return channel.unary_unary(method)


def streams(channel: grpc.Channel, method: str, *messages: bytes) -> list[bytes]:
    """The answers to a stream of messages, which may also be for a method that takes one."""
    call: grpc.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(method)
    return list(call(iter(messages)))


@pytest.mark.parametrize("method", SINGLE)
def test_what_is_no_message_is_an_invalid_argument_on_every_method(channel: grpc.Channel, method: str) -> None:
    code, told = refusal(single(channel, method), GARBAGE)
    assert (code, told.partition(":")[0]) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "the request is no message of this method",
    )


@pytest.mark.parametrize("method", SINGLE)
def test_no_message_at_all_is_an_invalid_argument_on_every_method(channel: grpc.Channel, method: str) -> None:
    code, told = refusal(lambda _: streams(channel, method), None)
    assert (code, told) == (grpc.StatusCode.INVALID_ARGUMENT, "the call has no message; send one")


@pytest.mark.parametrize("method", STREAMS)
def test_in_a_stream_of_requests_it_is_an_error_in_its_place(channel: grpc.Channel, method: str) -> None:
    first, second, third = streams(channel, method, b"", GARBAGE, b"")
    assert b"the request is no message of this method" in second
    for other in (first, third):
        assert b"empty" in other


@pytest.mark.parametrize("method", ["/grpc.health.v1.Health/Watch", REFLECTION])
def test_other_streams_end_with_an_invalid_argument(channel: grpc.Channel, method: str) -> None:
    code, _ = refusal(lambda garbage: streams(channel, method, garbage), GARBAGE)
    assert code == grpc.StatusCode.INVALID_ARGUMENT


def of_bytes(size: int) -> bytes:
    """A request of exactly so many bytes, with a picture that is none."""
    around = len(pb.ClassifyRequest(model="shapes", images=[pb.Image(encoded=bytes(1 << 20))]).SerializeToString()) - (
        1 << 20
    )
    return pb.ClassifyRequest(model="shapes", images=[pb.Image(encoded=bytes(size - around))]).SerializeToString()


def test_the_limit_on_messages_is_exact(channel: grpc.Channel) -> None:
    classify = single(channel, "/seethrough.v1.ImageClassifier/Classify")
    assert [len(of_bytes(LIMIT)), len(of_bytes(LIMIT + 1))] == [LIMIT, LIMIT + 1]
    code, told = refusal(classify, of_bytes(LIMIT))
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert "not a picture that can be read" in told
    code, told = refusal(classify, of_bytes(LIMIT + 1))
    assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert f"larger than max ({LIMIT + 1} vs. {LIMIT})" in told


def test_too_much_metadata_is_refused(channel: grpc.Channel) -> None:
    call = single(channel, "/inference.GRPCInferenceService/ServerLive")
    code, told = refusal(lambda data: call(data, metadata=(("x-much", "a" * 20_000),)), b"")
    assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "metadata" in told


def test_only_the_formats_of_the_list_are_opened(running: RunningServer) -> None:
    with grpc.insecure_channel(running.grpc) as channel:
        gif = pb.Image(encoded=b"GIF89a" + bytes(100))
        code, told = refusal(
            rpc.ImageClassifierStub(channel).Classify, pb.ClassifyRequest(model="shapes", images=[gif])
        )
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert told.endswith("send one of PNG")


def test_none_of_it_is_worth_a_traceback(channel: grpc.Channel, log: Path) -> None:
    for method in (*SINGLE, *STREAMS, REFLECTION):
        with contextlib.suppress(grpc.RpcError):
            streams(channel, method, GARBAGE)
    assert "Traceback" not in log.read_text()
