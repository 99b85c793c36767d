"""Floods of large requests that never end: memory stays within what the settings say, and others are answered meanwhile."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import grpc
import psutil
import pytest

from bench.server_process import RunningServer, serving
from tests.bundles import make_bundle
from tests.contract.flooding import OverGrpc, over_http

pytestmark = pytest.mark.slow
MIB = 1 << 20
READING, REQUEST, CONNECTIONS = 64, 32, 60
SIZE_MIB = 30
SLOW = READING // REQUEST


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
