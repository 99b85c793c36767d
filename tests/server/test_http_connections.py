"""Connections, over real sockets: how many there may be, and how long a client may keep the server waiting."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from server.transport.http import Connections, HttpServer, bind
from server.transport.http.asgi import Receive, Scope, Send
from tests.server.gated import until

GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
LARGE = 64 << 20
QUICK = 0.05  # seconds
PATIENT = 3600.0
Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def application(scope: Scope, _: Receive, send: Send) -> None:
    """Two bytes at /, many at /large, nothing at /never."""
    if scope["path"] == "/never":
        await asyncio.Event().wait()
    content = bytes(LARGE) if scope["path"] == "/large" else b"ok"
    headers = [(b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})


@dataclass
class Port:
    """A server, and the clients that a test has connected to it."""

    number: int
    server: HttpServer
    clients: list[Client] = field(default_factory=list)

    async def connect(self, send: bytes = b"") -> Client:
        client = await asyncio.open_connection("127.0.0.1", self.number)
        self.clients.append(client)
        client[1].write(send)
        return client

    @property
    def connections(self) -> int:
        """How many the server has."""
        return len(self.server.server_state.connections)


@asynccontextmanager
async def serving(most: int = 10, seconds: float = PATIENT) -> AsyncIterator[Port]:
    app: Any = application
    bound = bind("127.0.0.1", 0)
    server = HttpServer(app, connections=Connections(most, seconds))
    await server.start(bound)
    port = Port(bound.getsockname()[1], server)
    try:
        yield port
    finally:
        for _, writer in port.clients:
            writer.close()
        await until(lambda: not port.connections)
        await server.stop()


async def answer(client: Client, request: bytes = GET) -> bytes:
    """The first line of what comes back, after all of it has come."""
    reader, writer = client
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(int(head.split(b"content-length: ")[1].split(b"\r\n")[0]))
    return head.split(b"\r\n")[0]


async def test_one_connection_too_many_is_told_to_come_again_and_the_others_go_on() -> None:
    async with serving(most=2) as port:
        clients = [await port.connect() for _ in range(2)]
        await until(lambda: port.connections == 2)
        reader, _ = await port.connect()
        refusal = await reader.read()
        assert refusal.startswith(b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\n")
        assert [await answer(client) for client in clients] == [b"HTTP/1.1 200 OK"] * 2
        clients[0][1].close()
        await until(lambda: port.connections == 1)
        assert await answer(await port.connect()) == b"HTTP/1.1 200 OK"


@pytest.mark.parametrize(
    "sent",
    [b"", b"GET / HTTP/1.1\r\nhost:", pytest.param(GET + b"\r\n", marks=pytest.mark.slow)],
    ids=["nothing", "half a head", "an empty line after a request"],  # the last is kept as long as any idle connection
)
async def test_a_client_that_never_asks_is_dropped(sent: bytes) -> None:
    async with serving(seconds=QUICK) as port:
        reader, _writer = await port.connect(sent)
        answered = b"HTTP/1.1 200" if sent.startswith(GET) else b""
        try:
            assert (await reader.read()).startswith(answered)
        except ConnectionResetError:
            assert not answered


async def test_a_connection_that_waits_for_its_next_request_or_its_answer_is_kept() -> None:
    async with serving(seconds=QUICK) as port:
        idle, working = await port.connect(), await port.connect(GET.replace(b"/ ", b"/never "))
        await answer(idle)
        debtor, _ = await port.connect()
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await debtor.readexactly(1)
        assert await answer(idle) == b"HTTP/1.1 200 OK"
        assert not working[0].at_eof()


async def test_a_client_that_does_not_read_its_answer_is_dropped() -> None:
    async with serving(seconds=QUICK) as port:
        reader, _ = await port.connect(GET.replace(b"/ ", b"/large "))
        await until(lambda: port.connections == 1)
        await until(lambda: port.connections == 0)
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await reader.readexactly(LARGE)


async def test_requests_may_be_sent_ahead_of_their_answers_but_not_any_number() -> None:
    async with serving() as port:
        reader, _writer = await port.connect(GET * 10)
        for _ in range(10):
            assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200 OK")
        many, _writer = await port.connect(GET * 1000)
        assert b"HTTP/1.1 400 Bad Request" in await many.read()


async def test_too_many_headers_are_refused() -> None:
    async with serving() as port:
        assert await answer(await port.connect(), GET[:-2] + b"x: y\r\n" * 100 + b"\r\n") == b"HTTP/1.1 200 OK"
        assert await answer(await port.connect(), GET[:-2] + b"x: y\r\n" * 200 + b"\r\n") == b"HTTP/1.1 400 Bad Request"
