"""Answers that are ready and not sent yet: a caller who does not read his must not fill the server's memory with them.

gRPC keeps what it sends until the caller has room for it, for as long as the call and its connection last, and has no way to take it
back. So what waits to be sent keeps its room in admission: when it fills that, nothing more is let in until somebody reads or leaves.
"""

import asyncio
from collections.abc import Callable
from typing import Any

Call = asyncio.Task[Any]


class Outbox:
    """The bytes that wait, by call. It belongs to the event loop's thread."""

    def __init__(self, add: Callable[[int], None]) -> None:
        """`add` is told of bytes that wait, and, with negative numbers, of bytes that are gone."""
        self._add = add
        self._waiting: dict[Call, int] = {}

    def put(self, call: Call, size_bytes: int) -> None:
        """One more answer of `call` waits, until `take` or until the call ends."""
        if call not in self._waiting:
            self._waiting[call] = 0
            call.add_done_callback(self._ended)
        self._change(call, size_bytes)

    def take(self, call: Call, size_bytes: int) -> None:
        """An answer of `call`, which goes on, is sent."""
        self._change(call, -size_bytes)

    def _change(self, call: Call, size_bytes: int) -> None:
        self._waiting[call] += size_bytes
        self._add(size_bytes)

    def _ended(self, call: Call) -> None:
        self._add(-self._waiting.pop(call))
