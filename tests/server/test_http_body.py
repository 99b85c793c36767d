"""Reading bodies: never more than there is room for, never longer than is decent."""

import asyncio
import gzip
from http import HTTPStatus

import pytest

from server.errors import OverloadedError
from server.transport.http import body
from server.transport.http.asgi import HttpError, Message, Receive
from server.transport.http.body import Patience
from server.transport.http.budget import Budget

MIB = 1 << 20


def sending(*parts: bytes, ends: bool = True) -> Receive:
    """What a client sends, after which it is silent unless that was all."""
    messages: list[Message] = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    messages[-1]["more_body"] = not ends

    async def receive() -> Message:
        if not messages:
            await asyncio.Event().wait()
        return messages.pop(0)

    return receive


async def test_a_body_that_does_not_end_is_refused_with_what_came_of_it() -> None:
    with Budget(MIB).share() as share, pytest.raises(HttpError) as refused:
        await body.read(sending(b"abc", ends=False), {}, MIB, share, Patience(0.01, MIB))
    assert refused.value.status == HTTPStatus.REQUEST_TIMEOUT
    assert "of the body, 3 bytes have come in 0 s; send it faster" in str(refused.value)
    assert (b"connection", b"close") in refused.value.headers


async def test_bodies_share_the_budget_and_give_it_back() -> None:
    budget = Budget(10)
    with budget.share() as share:
        assert await body.read(sending(b"12345", b"678"), {}, MIB, share) == b"12345678"
        with budget.share() as other, pytest.raises(OverloadedError) as refused:
            await body.read(sending(b"123"), {}, MIB, other)
        assert refused.value.retry_after_seconds == 1.0
    with budget.share() as share:
        assert await body.read(sending(b"123"), {}, MIB, share) == b"123"


async def test_what_a_body_unpacks_to_counts_as_well() -> None:
    with Budget(1000).share() as share, pytest.raises(OverloadedError):
        await body.read(sending(gzip.compress(bytes(1000))), {b"content-encoding": b"gzip"}, MIB, share)


def test_large_requests_leave_small_ones_a_quarter() -> None:
    budget = Budget(8 * MIB)
    with budget.share() as large, budget.share() as small:
        large.grow(6 * MIB)
        with pytest.raises(OverloadedError):
            large.grow(1)
        small.grow(MIB)
        with pytest.raises(OverloadedError):
            small.grow(1)


def test_what_is_only_announced_takes_nothing() -> None:
    budget = Budget(1)
    with budget.share(), budget.share() as other:
        other.grow(1)


async def test_what_has_come_quickly_buys_no_long_silence() -> None:
    with Budget(MIB).share() as share, pytest.raises(HttpError) as refused:
        await body.read(sending(bytes(100_000), ends=False), {}, MIB, share, Patience(0.01, 1))
    assert refused.value.status == HTTPStatus.REQUEST_TIMEOUT
