"""Calls that are refused before their message is read."""

import asyncio
from pathlib import Path

import grpc
import pytest

from proto import classifier_pb2 as pb
from tests.server.gated import MODEL, gated_serving, over_grpc, raw_image, request, until, until_admitted

LARGE = pb.ClassifyRequest(model=MODEL, images=[pb.Image(encoded=bytes(900_000))])


async def test_a_full_server_refuses_what_it_has_not_read(tmp_path: Path) -> None:
    async with gated_serving(tmp_path, max_images=1) as gated, over_grpc(gated) as stub:
        admitted = asyncio.ensure_future(stub.Classify(request(1)))
        await until_admitted(gated)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.Classify(LARGE)
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        await until(lambda: bool(gated.calls))
        assert gated.calls[0].model == ""  # it was not read
        gated.engine.release(1)
        await admitted


async def test_an_urgent_call_is_read_though_the_house_is_full_for_others(tmp_path: Path) -> None:
    async with gated_serving(tmp_path, max_images=8) as gated, over_grpc(gated) as stub:
        others = [asyncio.ensure_future(stub.Classify(request(1))) for _ in range(7)]
        await until(lambda: gated.serving.inflight == 7)
        urgent = pb.ClassifyRequest(model=MODEL, images=[raw_image()], priority=pb.PRIORITY_HIGH)
        with pytest.raises(grpc.aio.AioRpcError):
            await stub.Classify(urgent)
        answer = asyncio.ensure_future(stub.Classify(urgent, metadata=(("priority", "high"),)))
        await until(lambda: gated.serving.inflight == 8)
        gated.engine.release(1000)
        await asyncio.gather(answer, *others)


async def test_saying_so_in_the_metadata_alone_lets_nobody_in(tmp_path: Path) -> None:
    async with gated_serving(tmp_path, max_images=1) as gated, over_grpc(gated) as stub:
        admitted = asyncio.ensure_future(stub.Classify(request(1)))
        await until_admitted(gated)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.Classify(request(2), metadata=(("priority", "high"),))
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        gated.engine.release(1000)
        await admitted
