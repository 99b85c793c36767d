"""Clients that leave, deadlines, overload and shutdown, over real HTTP, with an engine that the test holds and releases."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from server.config import Security
from server.transport import http
from server.transport.calls import Calls
from server.transport.http.application import Application
from server.transport.security.access import Access
from server.transport.v2.inference import OpenInference
from tests.server.gated import HEIGHT, MODEL, WIDTH, Gated, counting, gated_serving, until, until_admitted

INFER = f"/v2/models/{MODEL}/infer"


@dataclass(frozen=True)
class Port:
    """The HTTP port over a gated service."""

    app: Application
    number: int


async def no_metrics() -> tuple[bytes, str]:
    return b"", "text/plain"


@asynccontextmanager
async def over_http(gated: Gated) -> AsyncIterator[Port]:
    """The real HTTP server over `gated`, on a socket of this machine."""
    calls = Calls(gated.bus, gated.serving.known)
    inference = OpenInference(gated.serving, calls, counting(gated.bus), lambda: True)
    probes = http.Probes(no_metrics, lambda: "")
    app = http.build(gated.serving, inference, calls, Access(Security()), probes, gated.clock, 1 << 20)
    server, socket = http.HttpServer(app), http.bind("127.0.0.1", 0)
    serving = asyncio.create_task(server.serve([socket]))
    await until(lambda: server.started)
    try:
        yield Port(app, socket.getsockname()[1])
    finally:
        gated.engine.release(1000)
        server.should_exit = True
        await serving


@dataclass
class Call:
    """A request on a connection of its own."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:-2])
        body = await self.reader.readexactly(int(headers["content-length"]))
        self.leave()
        return int(head[0].split()[1]), headers, body

    def leave(self) -> None:
        """Closes the connection."""
        self.writer.close()


async def call(port: Port, value: int, *headers: str, cut: int | None = None) -> Call:
    """Asks for an inference on an image of one value, or sends only the first `cut` bytes of the body."""
    shape = [1, HEIGHT, WIDTH, 1]
    tensor = {"name": "pixels", "datatype": "UINT8", "shape": shape, "data": [value] * (HEIGHT * WIDTH)}
    body = json.dumps({"inputs": [tensor]}).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", port.number)
    lines = [f"POST {INFER} HTTP/1.1", "host: x", f"content-length: {len(body)}", *headers, "", ""]
    writer.write("\r\n".join(lines).encode() + body[:cut])
    return Call(reader, writer)


async def test_who_leaves_frees_the_place_and_the_image_is_never_computed(tmp_path: Path) -> None:
    async with gated_serving(tmp_path, max_images=2) as gated, over_http(gated) as port:
        first = await call(port, 1)
        await until_admitted(gated)
        gone = await call(port, 2)
        await until(lambda: gated.serving.inflight == 2)
        gone.leave()
        await until(lambda: gated.serving.inflight == 1)
        third = await call(port, 3)
        gated.engine.release(10)
        assert [(await each.answer())[0] for each in (first, third)] == [200, 200]
    assert gated.outcomes() == ["cancelled"]
    computed = [int(image[0, 0, 0]) for batch in gated.engine.batches for image in batch["pixels"]]
    assert 2 not in computed


async def test_who_leaves_before_the_body_is_complete_asks_nothing(tmp_path: Path) -> None:
    async with gated_serving(tmp_path) as gated, over_http(gated) as port:
        gated.engine.release(10)
        (await call(port, 1, cut=20)).leave()
        assert (await (await call(port, 2)).answer())[0] == 200
    assert gated.outcomes() == []


async def test_a_full_server_refuses_at_once_and_says_when_to_come_again(tmp_path: Path) -> None:
    async with gated_serving(tmp_path, max_images=1) as gated, over_http(gated) as port:
        admitted = await call(port, 1)
        await until_admitted(gated)
        status, headers, body = await (await call(port, 2)).answer()
        gated.engine.release(2)
        assert (await admitted.answer())[0] == 200
    assert (status, headers["retry-after"]) == (429, "1")
    assert "1 images in work, of 1" in json.loads(body)["error"]
    assert gated.outcomes() == ["shed"]


async def test_at_the_deadline_the_caller_is_told_although_the_engine_still_works(tmp_path: Path) -> None:
    async with gated_serving(tmp_path) as gated, over_http(gated) as port:
        late = await call(port, 1, "grpc-timeout: 50m")
        await until_admitted(gated)
        status, _, body = await late.answer()
    assert status == 504
    assert json.loads(body) == {"error": "the deadline passed before the answer was computed"}


async def test_a_deadline_that_has_passed_is_no_work_for_the_engine(tmp_path: Path) -> None:
    async with gated_serving(tmp_path) as gated, over_http(gated) as port:
        status, _, _ = await (await call(port, 1, "grpc-timeout: 0n")).answer()
    assert status == 504
    assert gated.engine.batches == []


async def test_an_engine_fault_tells_the_request_id_and_nothing_else(tmp_path: Path) -> None:
    async with gated_serving(tmp_path) as gated, over_http(gated) as port:
        failing = await call(port, 1, "x-request-id: order-66")
        await until_admitted(gated)
        gated.engine.fail_next(RuntimeError("secret path /var/lib"))
        gated.engine.release()
        status, headers, body = await failing.answer()
    assert (status, headers["x-request-id"]) == (500, "order-66")
    error = json.loads(body)["error"]
    assert error == "internal error; the server's log has the details under request id order-66"


async def test_a_drain_answers_what_there_is_and_refuses_what_comes(tmp_path: Path) -> None:
    async with gated_serving(tmp_path) as gated, over_http(gated) as port:
        before = await call(port, 1)
        await until_admitted(gated)
        drained = asyncio.create_task(port.app.drain(60))
        status, _, body = await (await call(port, 2)).answer()
        assert (status, json.loads(body)["error"]) == (503, "the server is shutting down; go on with another one")
        assert not drained.done()
        gated.engine.release(10)
        await drained
        assert (await before.answer())[0] == 200


async def test_a_drain_that_takes_too_long_cancels_and_says_so(tmp_path: Path) -> None:
    async with gated_serving(tmp_path) as gated, over_http(gated) as port:
        working, sending = await call(port, 1), await call(port, 2, cut=20)
        await until_admitted(gated)
        await port.app.drain(0.01)
        assert (await working.answer())[0] == (await sending.answer())[0] == 503
