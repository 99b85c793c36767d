"""A load generator in a process of its own, so that it does not share the interpreter with what is measured.

A closed loop: each of the clients sends its next call when the last one is answered, for as long as asked. Prints one JSON
object: {"latencies": [seconds, ...], "seconds": the time from the first call to the last answer}.
"""

import asyncio
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import grpc
import typer
import uvloop

from proto import classifier_pb2 as pb
from proto.classifier_pb2_grpc import ImageClassifierStub

if TYPE_CHECKING:
    from proto.classifier_pb2_grpc import ImageClassifierAsyncStub  # a type of the stubs' .pyi only

WARM_UP_SECONDS = 0.5

cli = typer.Typer(add_completion=False, rich_markup_mode=None)


@cli.command()
def main(
    request: Annotated[Path, typer.Argument(help="A serialised ClassifyRequest of one image, sent again and again.")],
    target: Annotated[str, typer.Option(help="Address of the server.")],
    clients: Annotated[int, typer.Option(help="Calls in flight at any time.", min=1)] = 1,
    seconds: Annotated[float, typer.Option(help="How long to measure, after half a second of warming up.")] = 5.0,
) -> None:
    """Load a server with copies of one call."""
    message = pb.ClassifyRequest.FromString(request.read_bytes())
    latencies, elapsed = uvloop.run(generate(message, target, clients, seconds))
    typer.echo(json.dumps({"latencies": latencies, "seconds": elapsed}))


async def generate(request: pb.ClassifyRequest, target: str, clients: int, seconds: float) -> tuple[list[float], float]:
    """Latencies in seconds of every call after warming up, and the time they took together."""
    async with grpc.aio.insecure_channel(target) as channel:
        stub = ImageClassifierStub(channel)
        await _run(stub, request, clients, WARM_UP_SECONDS)
        return await _run(stub, request, clients, seconds)


async def _run(
    stub: "ImageClassifierAsyncStub", request: pb.ClassifyRequest, clients: int, seconds: float
) -> tuple[list[float], float]:
    latencies: list[float] = []
    started = time.perf_counter()

    async def client() -> None:
        while (sent := time.perf_counter()) - started < seconds:
            response = await stub.Classify(request)
            assert response.results[0].predictions
            latencies.append(time.perf_counter() - sent)

    await asyncio.gather(*(client() for _ in range(clients)))
    return latencies, time.perf_counter() - started


if __name__ == "__main__":
    cli(prog_name="python -m bench.load")
