"""How messages come in: slow ones are bounded in number, quick ones are not."""

import asyncio
from typing import Any, cast

import grpc
import pytest

from server.errors import InvalidRequestError, OverloadedError
from server.transport.grpc_calls import Context
from server.transport.grpc_methods import Reading


class Caller:
    """A call whose message comes when the test says so."""

    def __init__(self) -> None:
        self.message: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def read(self) -> Any:
        return await self.message


def begun(reading: Reading, caller: Caller) -> "asyncio.Task[bytes]":
    return asyncio.ensure_future(reading.message(cast(Context, caller)))


async def test_of_too_many_slow_calls_the_youngest_are_told_to_come_again() -> None:
    reading, callers = Reading(most_slow=2, slow_seconds=0.02), [Caller() for _ in range(4)]
    calls = [begun(reading, caller) for caller in callers]
    for call in calls[2:]:
        with pytest.raises(OverloadedError, match="too slowly") as refused:
            await call
        assert refused.value.retry_after_seconds == 1.0
    for number, (caller, call) in enumerate(zip(callers[:2], calls, strict=False)):
        caller.message.set_result(bytes([number]))
        assert await call == bytes([number])


async def test_any_number_of_quick_calls_is_read() -> None:
    reading, callers = Reading(most_slow=1, slow_seconds=3600.0), [Caller() for _ in range(100)]
    calls = [begun(reading, caller) for caller in callers]
    for caller in callers:
        caller.message.set_result(b"m")
    assert await asyncio.gather(*calls) == [b"m"] * 100


async def test_a_caller_who_leaves_while_his_message_is_read_is_no_overload() -> None:
    reading, caller = Reading(most_slow=1), Caller()
    call = begun(reading, caller)
    await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


async def test_a_call_without_a_message_is_invalid() -> None:
    reading, caller = Reading(most_slow=1), Caller()
    caller.message.set_result(grpc.aio.EOF)
    with pytest.raises(InvalidRequestError, match="has no message"):
        await begun(reading, caller)
