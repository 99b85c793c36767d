"""What the Open Inference Protocol asks of the engine, through real gRPC, with an engine that the test holds and releases."""

import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from proto import open_inference_pb2 as pb
from proto import open_inference_pb2_grpc as rpc
from tests.server.gated import HEIGHT, MODEL, WIDTH, Gated, channel_to, gated_serving, until, until_admitted

Input = pb.ModelInferRequest.InferInputTensor
Output = pb.ModelInferRequest.InferRequestedOutputTensor


@asynccontextmanager
async def inference(gated: Gated) -> AsyncIterator["rpc.GRPCInferenceServiceAsyncStub"]:
    """A stub of the protocol's service over `gated`."""
    async with channel_to(gated) as channel:
        yield rpc.GRPCInferenceServiceStub(channel)


def request(*values: int, outputs: tuple[str, ...] = (), **fields: Any) -> pb.ModelInferRequest:
    """A raw request of one image for each value, all its pixels of that value."""
    values = values or (0,)
    return pb.ModelInferRequest(
        model_name=MODEL,
        inputs=[Input(name="pixels", datatype="UINT8", shape=[len(values), HEIGHT, WIDTH, 1])],
        outputs=[Output(name=name) for name in outputs],
        raw_input_contents=[b"".join(bytes([value]) * (HEIGHT * WIDTH) for value in values)],
        **fields,
    )


def with_targets(asked: pb.ModelInferRequest, *targets: int) -> pb.ModelInferRequest:
    """The request with these targets for each of its images."""
    images = asked.inputs[0].shape[0]
    asked.inputs.add(name="targets", datatype="INT64", shape=[images, len(targets)])
    asked.raw_input_contents.append(struct.pack(f"<{len(targets)}q", *targets) * images)
    return asked


def names(response: pb.ModelInferResponse) -> list[str]:
    return [output.name for output in response.outputs]


@pytest.mark.parametrize(
    ("asked", "answered", "explained"),
    [
        (request(), ["probabilities"], []),
        (request(outputs=("probabilities",)), ["probabilities"], []),
        (request(outputs=("heatmaps",)), ["heatmaps"], [[-1]]),
        (request(outputs=("heatmaps", "probabilities")), ["heatmaps", "probabilities"], [[-1]]),
        (with_targets(request(), 1, -2), ["probabilities", "heatmaps"], [[1, -2]]),
        (with_targets(request(outputs=("probabilities",)), 1), ["probabilities"], []),
        (with_targets(request(outputs=("heatmaps",)), 1), ["heatmaps"], [[1]]),
    ],
)
async def test_an_explanation_is_computed_only_when_heatmaps_or_targets_ask_for_it(
    tmp_path: Path, asked: pb.ModelInferRequest, answered: list[str], explained: list[list[int]]
) -> None:
    async with gated_serving(tmp_path) as gated, inference(gated) as stub:
        gated.engine.release(10)
        assert names(await stub.ModelInfer(asked)) == answered
    (fed,) = gated.engine.batches
    assert (fed["targets"].tolist() if "targets" in fed else []) == explained


async def test_a_batch_of_images_becomes_one_run_and_one_tensor(tmp_path: Path) -> None:
    async with gated_serving(tmp_path) as gated, inference(gated) as stub:
        waiting = stub.ModelInfer(request(7))
        await until_admitted(gated)
        batch = stub.ModelInfer(request(255, 0, 51))
        await until(lambda: gated.serving.inflight == 4)
        gated.engine.release(10)
        await waiting
        response = await batch
    assert [len(fed["pixels"]) for fed in gated.engine.batches] == [1, 3]
    assert list(response.outputs[0].shape) == [3, 2]
    found = struct.unpack("<6f", response.raw_output_contents[0])
    assert found == pytest.approx([1, 0, 0, 1, 0.2, 0.8])


async def test_the_first_bad_image_is_the_call_s_error_and_named(tmp_path: Path) -> None:
    elements = [b"no picture", b"neither"]
    raw = b"".join(struct.pack("<I", len(each)) + each for each in elements)
    asked = pb.ModelInferRequest(
        model_name=MODEL, inputs=[Input(name="image", datatype="BYTES", shape=[2])], raw_input_contents=[raw]
    )
    async with gated_serving(tmp_path) as gated, inference(gated) as stub:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.ModelInfer(asked)
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "image 0 of 2 (counted from 0): not a picture" in (refused.value.details() or "")


def timeout(microseconds: int) -> dict[str, pb.InferParameter]:
    return {"timeout": pb.InferParameter(int64_param=microseconds)}


async def test_the_parameter_timeout_is_a_deadline_in_the_queue(tmp_path: Path) -> None:
    async with gated_serving(tmp_path) as gated, inference(gated) as stub:
        first = stub.ModelInfer(request(1))
        await until_admitted(gated)
        late = stub.ModelInfer(request(2, parameters=timeout(500_000)))
        await until(lambda: gated.serving.inflight == 2)
        gated.clock.now += 0.6
        gated.engine.release(10)
        await first
        with pytest.raises(grpc.aio.AioRpcError) as expired:
            await late
    assert expired.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert len(gated.engine.batches) == 1


async def test_the_parameter_timeout_does_not_lengthen_the_caller_s_deadline(tmp_path: Path) -> None:
    async with gated_serving(tmp_path) as gated, inference(gated) as stub:
        first = stub.ModelInfer(request(1))
        await until_admitted(gated)
        with pytest.raises(grpc.aio.AioRpcError):
            await stub.ModelInfer(request(2, parameters=timeout(60_000_000)), timeout=0.05)
        gated.clock.now += 1
        gated.engine.release(10)
        await first
    assert len(gated.engine.batches) == 1


async def test_a_cancelled_call_is_never_computed(tmp_path: Path) -> None:
    async with gated_serving(tmp_path) as gated, inference(gated) as stub:
        first = stub.ModelInfer(request(1))
        await until_admitted(gated)
        gone = stub.ModelInfer(request(2))
        await until(lambda: gated.serving.inflight == 2)
        gone.cancel()
        await until(lambda: gated.serving.inflight == 1)
        gated.engine.release(10)
        await first
    assert len(gated.engine.batches) == 1
    assert gated.outcomes() == ["cancelled"]


async def test_a_stream_has_several_requests_in_work_and_answers_in_order(tmp_path: Path) -> None:
    async def requests() -> AsyncIterator[pb.ModelInferRequest]:
        for number in range(5):
            yield pb.ModelInferRequest(id="bad", model_name="nobody") if number == 2 else request(id=str(number))

    async with gated_serving(tmp_path) as gated, inference(gated) as stub:
        call = stub.ModelStreamInfer(requests())
        await until_admitted(gated)
        await until(lambda: gated.serving.inflight == 4)
        gated.engine.release(10)
        answers = [answer async for answer in call]
    assert [answer.infer_response.id for answer in answers] == ["0", "1", "bad", "3", "4"]
    assert [bool(answer.error_message) for answer in answers] == [False, False, True, False, False]


async def test_an_engine_fault_says_only_where_to_look(tmp_path: Path) -> None:
    async with gated_serving(tmp_path) as gated, inference(gated) as stub:
        call = stub.ModelInfer(request(id="order-66"))
        await until_admitted(gated)
        gated.engine.fail_next(RuntimeError("secret path /var/lib"))
        gated.engine.release()
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await call
    assert failed.value.code() == grpc.StatusCode.INTERNAL
    assert failed.value.details() == "internal error; the server's log has the details under request id order-66"


async def test_calls_are_counted_by_their_outcome_however_they_fail(tmp_path: Path) -> None:
    one_raw_too_many = request()
    one_raw_too_many.raw_input_contents.append(b"")
    async with gated_serving(tmp_path) as gated, inference(gated) as stub:
        gated.engine.release(10)
        await stub.ModelInfer(request())
        for wrong in (one_raw_too_many, request(outputs=("z",)), pb.ModelInferRequest(model_name="nobody")):
            with pytest.raises(grpc.aio.AioRpcError):
                await stub.ModelInfer(wrong)
    counted = [(call.model, call.rpc, call.code) for call in gated.calls]
    assert counted == [
        (MODEL, "ModelInfer", "OK"),
        (MODEL, "ModelInfer", "INVALID_ARGUMENT"),
        (MODEL, "ModelInfer", "INVALID_ARGUMENT"),
        ("", "ModelInfer", "NOT_FOUND"),
    ]


async def test_statistics_are_those_of_the_version(tmp_path: Path) -> None:
    async with gated_serving(tmp_path) as gated, inference(gated) as stub:
        gated.engine.release(10)
        await stub.ModelInfer(request(1, 2, 3))
        (found,) = (await stub.ModelStatistics(pb.ModelStatisticsRequest(name=MODEL, version="1"))).model_stats
    assert (found.name, found.version, found.inference_count) == (MODEL, "1", 3)
    assert found.inference_stats.success.count == 1
