"""A load generator in a process of its own, so that it does not share the interpreter with what is measured.

A closed loop: each of the clients sends its next call when the last one is answered, for as long as asked. Prints one JSON
object: {"latencies": [seconds, ...], "seconds": the time from the first call to the last answer}.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import grpc
import typer
import uvloop

from proto import classifier_pb2, open_inference_pb2
from proto.classifier_pb2_grpc import ImageClassifierStub
from proto.open_inference_pb2_grpc import GRPCInferenceServiceStub

WARM_UP_SECONDS = 0.5

cli = typer.Typer(add_completion=False, rich_markup_mode=None)


class Rpc(StrEnum):
    """What can be sent."""

    CLASSIFY = "Classify"
    MODEL_INFER = "ModelInfer"


Ask = Callable[[], Awaitable[None]]  # one call, whose answer must be whole


@cli.command()
def main(
    request: Annotated[Path, typer.Argument(help="A serialised request of one image, sent again and again.")],
    target: Annotated[str, typer.Option(help="Address of the server.")],
    rpc: Annotated[Rpc, typer.Option(help="What the request is.")] = Rpc.CLASSIFY,
    clients: Annotated[int, typer.Option(help="Calls in flight at any time.", min=1)] = 1,
    seconds: Annotated[float, typer.Option(help="How long to measure, after half a second of warming up.")] = 5.0,
) -> None:
    """Load a server with copies of one call."""
    latencies, elapsed = uvloop.run(generate(rpc, request.read_bytes(), target, clients, seconds))
    typer.echo(json.dumps({"latencies": latencies, "seconds": elapsed}))


async def generate(rpc: Rpc, request: bytes, target: str, clients: int, seconds: float) -> tuple[list[float], float]:
    """Latencies in seconds of every call after warming up, and the time they took together."""
    async with grpc.aio.insecure_channel(target) as channel:
        ask = _classify(channel, request) if rpc is Rpc.CLASSIFY else _infer(channel, request)
        await _run(ask, clients, WARM_UP_SECONDS)
        return await _run(ask, clients, seconds)


def _classify(channel: grpc.aio.Channel, request: bytes) -> Ask:
    stub, message = ImageClassifierStub(channel), classifier_pb2.ClassifyRequest.FromString(request)

    async def ask() -> None:
        response = await stub.Classify(message)
        assert response.results[0].predictions

    return ask


def _infer(channel: grpc.aio.Channel, request: bytes) -> Ask:
    stub, message = GRPCInferenceServiceStub(channel), open_inference_pb2.ModelInferRequest.FromString(request)

    async def ask() -> None:
        response = await stub.ModelInfer(message)
        assert response.raw_output_contents

    return ask


async def _run(ask: Ask, clients: int, seconds: float) -> tuple[list[float], float]:
    latencies: list[float] = []
    started = time.perf_counter()

    async def client() -> None:
        while (sent := time.perf_counter()) - started < seconds:
            await ask()
            latencies.append(time.perf_counter() - sent)

    await asyncio.gather(*(client() for _ in range(clients)))
    return latencies, time.perf_counter() - started


if __name__ == "__main__":
    cli(prog_name="python -m bench.load")
