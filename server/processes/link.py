"""Questions and answers between the supervisor and one of its processes, in both directions over one socket.

A line is a JSON document: a question has a method, its answer the question's number. What either side does not know fails as a question,
not as a connection; the end of the socket fails every question that is open.
"""

import asyncio
import itertools
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import msgspec

from server.errors import InternalError, ModelNotFoundError, ServerError, UnavailableError

log = logging.getLogger(__name__)

T = TypeVar("T")
Methods = Mapping[str, Callable[[Any], Awaitable[Any]]]

# The metrics of hundreds of models with a thousand labels each.
_LONGEST_LINE = 256 << 20
# The errors that travel as themselves; any other is an InternalError on the other side.
_ERRORS: dict[str, type[ServerError]] = {each.__name__: each for each in (ModelNotFoundError, UnavailableError)}


class LinkClosedError(Exception):
    """The process on the other side has ended."""


class _Failure(msgspec.Struct):
    kind: str
    message: str


class _Line(msgspec.Struct, omit_defaults=True):
    number: int
    method: str = ""  # empty: an answer
    body: msgspec.Raw = msgspec.Raw(b"null")
    failure: _Failure | None = None


class Link:
    """One side of a link. `run` reads; without it nothing is answered."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._numbers = itertools.count(1)
        self._open: dict[int, asyncio.Future[msgspec.Raw]] = {}
        self._answering: set[asyncio.Task[None]] = set()
        self._closed = False

    async def run(self, methods: Methods) -> None:
        """Answers the other side's questions by `methods`, plain data in and what msgspec can write out, until it ends."""
        try:
            while line := await self._reader.readline():
                self._take(msgspec.json.decode(line, type=_Line), methods)
        except ConnectionError:
            pass  # the same as the end
        finally:
            self._closed = True
            for answer in self._open.values():
                if not answer.done():
                    answer.set_exception(LinkClosedError())
            self._writer.close()

    async def ask(self, method: str, argument: object, answer_type: type[T]) -> T:
        """The other side's answer. Raises the ServerError that it raised, or LinkClosedError when it ends."""
        if self._closed:
            raise LinkClosedError
        number = next(self._numbers)
        answer = self._open[number] = asyncio.get_running_loop().create_future()
        try:
            self._write(_Line(number, method, msgspec.Raw(msgspec.json.encode(argument))))
            return msgspec.json.decode(await answer, type=answer_type)
        finally:
            del self._open[number]

    def _take(self, line: _Line, methods: Methods) -> None:
        if line.method:
            task = asyncio.get_running_loop().create_task(self._answer(line, methods))
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)
        elif (answer := self._open.get(line.number)) is not None and not answer.done():
            if line.failure is None:
                answer.set_result(line.body)
            else:
                answer.set_exception(_ERRORS.get(line.failure.kind, InternalError)(line.failure.message))

    async def _answer(self, line: _Line, methods: Methods) -> None:
        try:
            body = await methods[line.method](msgspec.json.decode(line.body))
            reply = _Line(line.number, body=msgspec.Raw(msgspec.json.encode(body)))
        except ServerError as error:
            reply = _Line(line.number, failure=_Failure(type(error).__name__, str(error)))
        except Exception:
            log.exception("%s failed", line.method)
            reply = _Line(line.number, failure=_Failure("InternalError", "unforeseen error"))
        self._write(reply)

    def _write(self, line: _Line) -> None:
        if not self._closed:
            self._writer.write(msgspec.json.encode(line) + b"\n")


async def open_link(end: socket.socket) -> Link:
    """A link over one end of a socket pair."""
    return Link(*await asyncio.open_unix_connection(sock=end, limit=_LONGEST_LINE))
