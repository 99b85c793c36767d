"""Questions and answers over a socket pair."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from server.errors import InternalError, ModelNotFoundError, UnavailableError
from server.processes.link import Link, LinkClosedError, Methods, open_link


@asynccontextmanager
async def linked(methods: Methods) -> AsyncIterator[tuple[Link, "asyncio.Task[None]"]]:
    """A link whose other side answers by `methods`, and that other side's task."""
    one, other = [await open_link(end) for end in socket.socketpair()]
    asking, answering = asyncio.create_task(one.run({})), asyncio.create_task(other.run(methods))
    yield one, answering
    answering.cancel()
    await asyncio.wait([asking, answering])


async def test_questions_are_answered_as_they_are_done_not_as_they_came() -> None:
    release = asyncio.Event()

    async def slow(_: None) -> str:
        await release.wait()
        return "slow"

    async def double(number: int) -> int:
        return 2 * number

    async with linked({"slow": slow, "double": double}) as (link, _):
        waiting = asyncio.create_task(link.ask("slow", None, str))
        assert await link.ask("double", 21, int) == 42
        release.set()
        assert await waiting == "slow"


async def test_an_answer_may_be_longer_than_a_stream_reads_by_default() -> None:
    async def long(_: None) -> str:
        return "x" * 1_000_000

    async with linked({"long": long}) as (link, _):
        assert len(await link.ask("long", None, str)) == 1_000_000


@pytest.mark.parametrize("error", [ModelNotFoundError("no model 'm'"), UnavailableError("loading")])
async def test_an_error_for_the_caller_travels_as_itself(error: Exception) -> None:
    async def fail(_: None) -> None:
        raise error

    async with linked({"fail": fail}) as (link, _):
        with pytest.raises(type(error), match=str(error)):
            await link.ask("fail", None, type(None))


async def test_an_unforeseen_error_fails_the_question_and_not_the_link() -> None:
    async def fail(_: None) -> None:
        raise ValueError("secret")

    async def fine(_: None) -> int:
        return 1

    async with linked({"fail": fail, "fine": fine}) as (link, _):
        with pytest.raises(InternalError, match="unforeseen"):
            await link.ask("fail", None, type(None))
        with pytest.raises(InternalError):
            await link.ask("unknown", None, type(None))
        assert await link.ask("fine", None, int) == 1


async def test_the_end_of_the_other_side_fails_what_is_open_and_what_comes_after() -> None:
    async def never(_: None) -> None:
        await asyncio.Event().wait()

    async with linked({"never": never}) as (link, other):
        waiting = asyncio.create_task(link.ask("never", None, type(None)))
        await asyncio.sleep(0)
        other.cancel()
        with pytest.raises(LinkClosedError):
            await waiting
        with pytest.raises(LinkClosedError):
            await link.ask("never", None, type(None))
