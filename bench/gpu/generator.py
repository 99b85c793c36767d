"""Load from several processes, for where the generator in C cannot be compiled.

Each process keeps some ModelInfer calls in flight; messages are bytes that are made beforehand and answers are not parsed, so that a
process brings some thousand calls a second. When all have warmed up they begin at the same time.
"""

import asyncio
import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Annotated, cast

import grpc
import numpy as np
import typer
import uvloop
from numpy.typing import NDArray

from bench.loadgen import MODEL_INFER, WARM_UP_SECONDS

_UNBOUNDED = (("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1))

cli = typer.Typer(add_completion=False, rich_markup_mode=None)


@dataclass(frozen=True)
class Load:
    """How the calls of all processes went."""

    latencies: NDArray[np.float64]  # seconds
    rate: float  # calls a second
    metered: float  # by how much the meter went up


def run(
    target: str, bodies: Sequence[bytes], processes: int, clients: int, seconds: float, meter: Callable[[], float]
) -> Load:
    """Loads the gRPC server at `target`, HOST:PORT, with the messages in turn, at least one client in each process.

    `meter` is read at the begin and at the end. Raises RuntimeError when a call fails.
    """
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        for number, body in enumerate(bodies):
            (Path(folder) / f"{number:04}").write_bytes(body)
        each = max(1, clients // processes)
        command = [sys.executable, "-m", "bench.gpu.generator", folder, "--target", target, "--clients", str(each)]
        command += ["--seconds", str(seconds)]
        pipe = subprocess.PIPE
        running = [
            stack.enter_context(subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True))
            for _ in range(min(processes, clients))
        ]
        _lines(running)
        before = meter()
        for process in running:
            stdin = cast("IO[str]", process.stdin)
            stdin.write("go\n")
            stdin.flush()
        told = [json.loads(line) for line in _lines(running)]
        metered = meter() - before
    latencies = np.concatenate([part["latencies"] for part in told])
    return Load(latencies, sum(len(part["latencies"]) / part["seconds"] for part in told), metered)


def _lines(running: Sequence[subprocess.Popen[str]]) -> list[str]:
    """The next line of each."""
    lines = [cast("IO[str]", process.stdout).readline() for process in running]
    if not all(lines):
        raise RuntimeError("a load generator ended early; what it says is above")
    return lines


@cli.command()
def main(
    folder: Annotated[Path, typer.Argument(help="Serialised requests, one in each file.")],
    target: Annotated[str, typer.Option(help="Address of the server.")],
    clients: Annotated[int, typer.Option(help="Calls in flight at any time.", min=1)] = 1,
    seconds: Annotated[float, typer.Option(help="How long to measure.")] = 5.0,
) -> None:
    """Warm up, say ready, wait for a line on standard input, load the server, print the latencies as JSON."""
    uvloop.run(_generate([path.read_bytes() for path in sorted(folder.iterdir())], target, clients, seconds))


async def _generate(bodies: Sequence[bytes], target: str, clients: int, seconds: float) -> None:
    async with grpc.aio.insecure_channel(target, options=_UNBOUNDED) as channel:
        ask: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(MODEL_INFER)
        await _load(ask, bodies, clients, WARM_UP_SECONDS)
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        latencies, took = await _load(ask, bodies, clients, seconds)
    print(json.dumps({"latencies": latencies, "seconds": took}), flush=True)


async def _load(
    ask: "grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]", bodies: Sequence[bytes], clients: int, seconds: float
) -> tuple[list[float], float]:
    """Seconds of each call, and of all together."""
    latencies: list[float] = []
    started = time.perf_counter()
    turn = itertools.cycle(bodies)

    async def client() -> None:
        while (sent := time.perf_counter()) - started < seconds:
            await ask(next(turn))
            latencies.append(time.perf_counter() - sent)

    await asyncio.gather(*(client() for _ in range(clients)))
    return latencies, time.perf_counter() - started


if __name__ == "__main__":
    cli(prog_name="python -m bench.gpu.generator")
