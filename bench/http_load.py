"""A load generator for the HTTP port in a process of its own, like `bench.load` for gRPC.

A closed loop on one connection for each client, without an HTTP library, whose work would be measured along. Every answer is
compared with the first. Prints one JSON object: {"latencies": [seconds, ...], "seconds": the time from the first call to
the last answer}.
"""

import asyncio
import json
import time
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from bench.load import WARM_UP_SECONDS

cli = typer.Typer(add_completion=False, rich_markup_mode=None)


@cli.command()
def main(
    body: Annotated[Path, typer.Argument(help="The body of the request, sent again and again.")],
    target: Annotated[str, typer.Option(help="Address of the server's HTTP port.")],
    path: Annotated[str, typer.Option(help="Where to send it, for example /v2/models/NAME/infer.")],
    json_bytes: Annotated[
        int | None, typer.Option(help="How much of the body is JSON, if binary data follows.", min=1)
    ] = None,
    clients: Annotated[int, typer.Option(help="Calls in flight at any time.", min=1)] = 1,
    seconds: Annotated[float, typer.Option(help="How long to measure, after half a second of warming up.")] = 5.0,
) -> None:
    """Load a server with copies of one call."""
    latencies, elapsed = uvloop.run(generate(to_request(path, body.read_bytes(), json_bytes), target, clients, seconds))
    typer.echo(json.dumps({"latencies": latencies, "seconds": elapsed}))


def to_request(path: str, body: bytes, json_bytes: int | None) -> bytes:
    """The whole request, ready to be written."""
    lines = [f"POST {path} HTTP/1.1", "Host: server", f"Content-Length: {len(body)}"]
    if json_bytes is not None:
        lines.append(f"Inference-Header-Content-Length: {json_bytes}")
    return "\r\n".join((*lines, "", "")).encode() + body


async def generate(request: bytes, target: str, clients: int, seconds: float) -> tuple[list[float], float]:
    """Latencies in seconds of every call after warming up, and the time they took together."""
    host, port = target.rsplit(":", 1)
    connections = [await asyncio.open_connection(host.strip("[]"), int(port)) for _ in range(clients)]
    load = _Load(request, await _ask(*connections[0], request))
    await load.run(connections, WARM_UP_SECONDS)
    try:
        return await load.run(connections, seconds)
    finally:
        for _, writer in connections:
            writer.close()


class _Load:
    """One request, and the answer that each copy of it must get."""

    def __init__(self, request: bytes, expected: bytes) -> None:
        self._request = request
        self._expected = expected

    async def run(
        self, connections: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]], seconds: float
    ) -> tuple[list[float], float]:
        latencies: list[float] = []
        started = time.perf_counter()

        async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while (sent := time.perf_counter()) - started < seconds:
                assert await _ask(reader, writer, self._request) == self._expected
                latencies.append(time.perf_counter() - sent)

        await asyncio.gather(*(client(*connection) for connection in connections))
        return latencies, time.perf_counter() - started


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> bytes:
    """The body of the answer."""
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    status, *lines = head.split(b"\r\n")
    length = next(int(line[15:]) for line in lines if line[:15].lower() == b"content-length:")
    body = await reader.readexactly(length)
    assert b" 200 " in status, body
    return body


if __name__ == "__main__":
    cli(prog_name="python -m bench.http_load")
