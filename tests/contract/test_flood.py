"""Floods of large requests that never end and of answers that nobody reads: memory stays within what the settings say, and others are
answered meanwhile."""

import asyncio
import io
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import grpc
import numpy as np
import psutil
import pytest
from PIL import Image

from bench.server_process import RunningServer, serving
from proto import classifier_pb2 as pb
from tests.bundles import make_bundle
from tests.contract.flooding import OverGrpc, over_http, without_reading

pytestmark = pytest.mark.slow
MIB = 1 << 20
READING, REQUEST, CONNECTIONS = 64, 32, 60
SIZE_MIB = 30
SLOW = READING // REQUEST
UNREAD = 16


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    make_bundle(tmp_path / "shapes/1")
    with serving(tmp_path, "--max-reading-mib", str(READING), "--max-request-mib", str(REQUEST)) as running:
        yield running


def resident_mib(server: RunningServer) -> float:
    size: int = psutil.Process(server.process.pid).memory_info().rss
    return size / MIB


async def live(server: RunningServer) -> bytes:
    """An answer to somebody else."""
    async with grpc.aio.insecure_channel(server.grpc) as channel:
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]
        call = channel.unary_unary("/inference.GRPCInferenceService/ServerLive")
        return await call(b"", timeout=30)


async def test_over_http_whoever_finds_no_room_is_told_to_come_again(server: RunningServer) -> None:
    before = resident_mib(server)
    floods = [asyncio.ensure_future(over_http(server.http)) for _ in range(CONNECTIONS)]
    refused, _ = await asyncio.wait(floods, return_when=asyncio.FIRST_COMPLETED)
    assert {each.result() for each in refused} == {"HTTP/1.1 429 Too Many Requests"}
    assert await live(server)
    await asyncio.gather(*floods)  # those who were let in are told when their time is over
    assert resident_mib(server) - before < 3 * READING + 2 * CONNECTIONS


async def test_over_grpc_only_so_many_may_be_slow(server: RunningServer) -> None:
    before, senders = resident_mib(server), [OverGrpc() for _ in range(CONNECTIONS)]
    floods = {asyncio.ensure_future(sender.flood(server.grpc)) for sender in senders}
    while len(floods) > SLOW:
        _, floods = await asyncio.wait(floods, return_when=asyncio.FIRST_COMPLETED)
        assert await live(server)
    assert sum(not sender.ended for sender in senders) == SLOW
    for flood in floods:
        flood.cancel()
    await asyncio.gather(*floods, return_exceptions=True)
    # What all of them could send before they counted as slow, at most, and what is around it.
    sent = sum(sender.sent for sender in senders) / MIB
    assert resident_mib(server) - before < 1.5 * sent + 2 * CONNECTIONS
    assert sent < CONNECTIONS * SIZE_MIB


async def test_answers_that_nobody_reads_fill_their_room_and_not_the_memory(tmp_path: Path) -> None:
    make_bundle(tmp_path / "shapes/1")
    request = pb.ClassifyRequest(model="shapes", images=[pb.Image(encoded=_noise())])
    request.explain.format = pb.HEATMAP_FORMAT_OVERLAY_PNG
    message = request.SerializeToString()
    with serving(tmp_path, "--max-inflight-mib", str(UNREAD)) as server:
        async with aclosing(without_reading(server.grpc, message)) as calls:
            made = 0
            while not await anext(calls):
                made += 1
            assert UNREAD / 2 < made < 2 * UNREAD
            assert await classified(server, message) is grpc.StatusCode.RESOURCE_EXHAUSTED
        while await classified(server, message) is not grpc.StatusCode.OK:
            pass  # until the server has noticed that the connection is closed


async def classified(server: RunningServer, message: bytes) -> grpc.StatusCode:
    """How it ends when somebody else asks."""
    async with grpc.aio.insecure_channel(server.grpc) as channel:
        method: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]
        method = channel.unary_unary("/seethrough.v1.ImageClassifier/Classify")
        call = method(message, timeout=30)
        return await call.code()


def _noise() -> bytes:
    """A JPEG file of less than 64 KiB, whose overlay is a PNG file of about a megabyte."""
    file = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (1000, 1000, 3), dtype=np.uint8)
    Image.fromarray(noise).save(file, "JPEG", quality=3)
    return file.getvalue()
