"""What travels around a call: request ids, stage timings, compression; the same for both services."""

import re
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np
import pytest

from bench.server_process import RunningServer
from proto import classifier_pb2 as pb
from proto import classifier_pb2_grpc as rpc
from proto import open_inference_pb2 as v2
from proto import open_inference_pb2_grpc as v2_rpc

SHAPE = (12, 16, 3)
NOISE = np.random.default_rng(0).integers(0, 256, SHAPE, np.uint8).tobytes()
STAGES = ["decode", "queue", "infer", "render", "total"]


def classify_request(images: int = 1, request_id: str = "", model: str = "shapes") -> pb.ClassifyRequest:
    image = pb.Image(pixels=pb.RawPixels(height=SHAPE[0], width=SHAPE[1], channels=SHAPE[2], data=NOISE))
    return pb.ClassifyRequest(model=model, images=[image] * images, request_id=request_id)


def infer_request(images: int = 1, request_id: str = "", model: str = "shapes") -> v2.ModelInferRequest:
    pixels = v2.ModelInferRequest.InferInputTensor(name="pixels", datatype="UINT8", shape=[images, *SHAPE])
    return v2.ModelInferRequest(model_name=model, id=request_id, inputs=[pixels], raw_input_contents=[NOISE * images])


@dataclass(frozen=True)
class Service:
    """One of the two services: how to call it, and how to ask it."""

    call: Any
    request: Any

    def trailers(self, *metadata: tuple[str, str], **fields: Any) -> dict[str, Any]:
        """What came behind the answer, or behind the error."""
        try:
            _, call = self.call.with_call(self.request(**fields), metadata=metadata)
        except grpc.RpcError as error:
            call = error
        return dict(call.trailing_metadata())


@pytest.fixture(params=["seethrough.v1", "inference"])
def service(request: pytest.FixtureRequest, server: RunningServer) -> Iterator[Service]:
    """Each of the two services in turn."""
    with grpc.insecure_channel(server.grpc) as channel:
        if request.param == "inference":
            yield Service(v2_rpc.GRPCInferenceServiceStub(channel).ModelInfer, infer_request)
        else:
            yield Service(rpc.ImageClassifierStub(channel).Classify, classify_request)


def test_the_request_id_of_the_metadata_comes_back_behind_the_answer(service: Service) -> None:
    assert service.trailers(("x-request-id", "from-the-metadata"))["x-request-id"] == "from-the-metadata"


def test_the_request_s_own_field_wins_over_the_metadata(service: Service) -> None:
    found = service.trailers(("x-request-id", "from-the-metadata"), request_id="its-own")
    assert found["x-request-id"] == "its-own"


def test_a_request_without_an_id_is_given_one(service: Service) -> None:
    assert re.fullmatch(r"[0-9a-f]{12}-\d+", service.trailers()["x-request-id"])


def test_a_refused_request_has_its_id_behind_the_error(service: Service) -> None:
    assert service.trailers(request_id="order-66", model="nobody")["x-request-id"] == "order-66"


@pytest.mark.parametrize("request_id", ["x" * 10_000, "\N{SNOWMAN}", "two\nlines"])
def test_an_id_that_metadata_cannot_carry_is_not_echoed_there_and_the_call_is_answered(
    service: Service, request_id: str
) -> None:
    found = service.trailers(request_id=request_id)
    assert "x-request-id" not in found
    assert "server-timing" in found


@pytest.mark.parametrize("images", [1, 3])
def test_the_stages_are_timed_behind_the_answer(service: Service, images: int) -> None:
    entries = [entry.split(";dur=") for entry in service.trailers(images=images)["server-timing"].split(", ")]
    seconds = {stage: float(milliseconds) for stage, milliseconds in entries}
    assert list(seconds) == STAGES
    assert all(value >= 0 for value in seconds.values())
    assert seconds["total"] >= seconds["infer"] > 0


def test_several_images_are_timed_by_the_longest_of_each_stage(server: RunningServer) -> None:
    with grpc.insecure_channel(server.grpc) as channel:
        response, call = rpc.ImageClassifierStub(channel).Classify.with_call(classify_request(images=3))
    told = dict(call.trailing_metadata())["server-timing"]
    for stage in STAGES:
        longest = max(getattr(result.timings, f"{stage}_seconds") for result in response.results)
        assert f"{stage};dur={longest * 1000:.3f}" in told


def pump(source: socket.socket, sink: socket.socket, sizes: list[int]) -> None:
    """Passes on what comes until no more does, and notes its sizes."""
    while data := source.recv(1 << 16):
        sizes.append(len(data))
        sink.sendall(data)
    with suppress(OSError):  # the other side has left already
        sink.shutdown(socket.SHUT_WR)


@contextmanager
def relay(address: str) -> Iterator[tuple[str, list[int]]]:
    """A relay of one connection to `address`: its own address, and the sizes of what came back through it."""
    host, port = address.rsplit(":", 1)
    sizes: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as listening, ThreadPoolExecutor(2) as threads:

        def connect() -> None:
            with listening.accept()[0] as caller, socket.create_connection((host, int(port))) as server:
                asking = threads.submit(pump, caller, server, [])
                pump(server, caller, sizes)
                asking.result()

        connected = threads.submit(connect)
        yield f"127.0.0.1:{listening.getsockname()[1]}", sizes
        connected.result()


def answer_bytes(server: RunningServer, *metadata: tuple[str, str]) -> int:
    """What the answer with the heatmaps of 64 equal images takes on the wire."""
    asked = infer_request(images=64)
    asked.outputs.add(name="heatmaps")
    with relay(server.grpc) as (address, sizes):
        with grpc.insecure_channel(address) as channel:
            answer = v2_rpc.GRPCInferenceServiceStub(channel).ModelInfer(asked, metadata=metadata)
        assert len(answer.raw_output_contents[0]) == 64 * 10 * 14 * 4
    return sum(sizes)


def test_an_answer_is_compressed_when_asked_for_and_only_then(server: RunningServer) -> None:
    plain, compressed = answer_bytes(server), answer_bytes(server, ("accept-encoding", "gzip"))
    assert plain > 64 * 10 * 14 * 4
    assert compressed < plain / 2


@pytest.mark.parametrize("way", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_a_compressed_request_is_answered(server: RunningServer, way: grpc.Compression) -> None:
    with grpc.insecure_channel(server.grpc, compression=way) as channel:
        answer = v2_rpc.GRPCInferenceServiceStub(channel).ModelInfer(infer_request(images=20))
    assert list(answer.outputs[0].shape) == [20, 3]
