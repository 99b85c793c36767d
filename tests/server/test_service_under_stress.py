"""Overload, deadlines, cancels and engine faults, through real gRPC, with an engine that the test holds and releases."""

from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from proto import classifier_pb2 as pb
from tests.server.gated import MODEL, gated_serving, over_grpc, raw_image, request, until, until_admitted


def details(error: grpc.aio.AioRpcError) -> Status:
    """The google.rpc.Status that came with an error."""
    trailers = dict(error.trailing_metadata())
    status = trailers["grpc-status-details-bin"]
    assert isinstance(status, bytes)
    return Status.FromString(status)


async def test_a_full_server_refuses_at_once_and_says_when_to_come_again(tmp_path: Path) -> None:
    async with gated_serving(tmp_path, max_images=2) as gated, over_grpc(gated) as stub:
        admitted = stub.Classify(request(1, 2))
        await until_admitted(gated)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.Classify(request(3))
        gated.engine.release(2)
        assert len((await admitted).results) == 2
    error = refused.value
    assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "2 images in work, of 2" in (error.details() or "")
    retry = RetryInfo()
    assert details(error).details[0].Unpack(retry)
    assert retry.retry_delay.ToNanoseconds() > 0
    assert gated.outcomes() == ["shed"]


async def test_room_is_given_back_when_an_answer_is_ready(tmp_path: Path) -> None:
    async with gated_serving(tmp_path, max_images=1) as gated, over_grpc(gated) as stub:
        gated.engine.release(100)
        for value in range(5):
            assert len((await stub.Classify(request(value))).results) == 1


async def test_a_request_larger_than_the_house_is_invalid_and_not_overload(tmp_path: Path) -> None:
    async with gated_serving(tmp_path, max_images=2) as gated, over_grpc(gated) as stub:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.Classify(request(1, 2, 3))
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "split it" in (refused.value.details() or "")


async def test_bytes_are_bounded_as_images_are(tmp_path: Path) -> None:
    async with gated_serving(tmp_path, max_bytes=100) as gated, over_grpc(gated) as stub:
        admitted = stub.Classify(request(1, 2))  # 96 bytes
        await until_admitted(gated)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.Classify(request(3))
        gated.engine.release(2)
        await admitted
    assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_cancelled_call_frees_its_place_and_its_image_is_never_computed(tmp_path: Path) -> None:
    async with gated_serving(tmp_path, max_images=2) as gated, over_grpc(gated) as stub:
        first = stub.Classify(request(1))
        await until_admitted(gated)
        gone = stub.Classify(request(2))
        await until(lambda: gated.serving.inflight == 2)
        gone.cancel()
        await until(lambda: gated.serving.inflight == 1)
        third = stub.Classify(request(3))
        gated.engine.release(10)
        assert len((await first).results) == len((await third).results) == 1
    assert gated.outcomes() == ["cancelled"]
    computed = [
        int(batch["pixels"][row, 0, 0, 0]) for batch in gated.engine.batches for row in range(len(batch["pixels"]))
    ]
    assert 2 not in computed


async def test_a_request_that_expires_in_the_queue_is_never_computed(tmp_path: Path) -> None:
    async with gated_serving(tmp_path) as gated, over_grpc(gated) as stub:
        first = stub.Classify(request(1))
        await until_admitted(gated)
        with pytest.raises(grpc.aio.AioRpcError) as late:
            await stub.Classify(request(2), timeout=0.05)
        gated.clock.now += 1  # on the server, too
        gated.engine.release(10)
        await first
    assert late.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert [len(batch["pixels"]) for batch in gated.engine.batches] == [1]


async def test_an_engine_fault_tells_the_caller_where_to_look_and_nothing_else(tmp_path: Path) -> None:
    async with gated_serving(tmp_path) as gated, over_grpc(gated) as stub:
        call = stub.Classify(request(1, request_id="order-66"))
        await until_admitted(gated)
        gated.engine.fail_next(RuntimeError("secret path /var/lib"))
        gated.engine.release()
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await call
        assert failed.value.code() == grpc.StatusCode.INTERNAL
        assert failed.value.details() == "internal error; the server's log has the details under request id order-66"
        gated.engine.release(10)
        assert len((await stub.Classify(request(2))).results) == 1
    assert gated.outcomes() == ["failed"]


async def test_one_broken_image_of_three_leaves_the_others_their_answers(tmp_path: Path) -> None:
    async with gated_serving(tmp_path) as gated, over_grpc(gated) as stub:
        gated.engine.release(10)
        images = [raw_image(255), pb.Image(encoded=b"not a picture"), raw_image(0)]
        response = await stub.Classify(pb.ClassifyRequest(model=MODEL, images=images))
    codes = [result.status.code for result in response.results]
    assert codes == [0, grpc.StatusCode.INVALID_ARGUMENT.value[0], 0]
    assert [result.predictions[0].label for result in (response.results[0], response.results[2])] == ["off", "on"]
    assert not response.results[1].predictions
    assert gated.outcomes() == ["invalid"]


async def test_a_stream_answers_in_the_order_of_its_requests_and_survives_a_bad_one(tmp_path: Path) -> None:
    async def requests() -> AsyncIterator[pb.ClassifyRequest]:
        yield request(255, request_id="a")
        yield pb.ClassifyRequest(model="nobody", images=[raw_image()], request_id="b")
        yield request(0, request_id="c")

    async with gated_serving(tmp_path) as gated, over_grpc(gated) as stub:
        gated.engine.release(100)
        answers = [answer async for answer in stub.ClassifyStream(requests())]
    assert [answer.request_id for answer in answers] == ["a", "b", "c"]
    assert [answer.WhichOneof("outcome") for answer in answers] == ["response", "error", "response"]
    assert answers[1].error.code == grpc.StatusCode.NOT_FOUND.value[0]
    assert [answers[at].response.results[0].predictions[0].label for at in (0, 2)] == ["off", "on"]


async def test_a_stream_has_several_requests_in_work_at_once(tmp_path: Path) -> None:
    async def requests() -> AsyncIterator[pb.ClassifyRequest]:
        for value in range(6):
            yield request(value)

    async with gated_serving(tmp_path) as gated, over_grpc(gated) as stub:
        call = stub.ClassifyStream(requests())
        await until_admitted(gated)
        await until(lambda: gated.serving.inflight == 6)
        gated.engine.release(10)
        sizes = [answer.response.results[0].timings.batch_images async for answer in call]
    assert len(sizes) == 6
    assert max(sizes) > 1


async def test_a_client_that_leaves_its_stream_leaves_nothing_behind(tmp_path: Path) -> None:
    async with gated_serving(tmp_path) as gated, over_grpc(gated) as stub:
        call = stub.ClassifyStream(iter([request(1), request(2)]))
        await until_admitted(gated)
        call.cancel()
        await until(lambda: gated.serving.inflight == 0)
        gated.engine.release(10)
        assert len((await stub.Classify(request(3))).results) == 1
