"""Counting the calls that are refused before they come to the use case, which counts the others."""

from collections.abc import Iterator
from contextlib import contextmanager

from server.errors import ServerError
from server.transport.calls import Calls


@contextmanager
def refusals_counted(calls: Calls, rpc: str, model: str, request_id: str) -> Iterator[None]:
    """Counts a ServerError of the block as a call of `rpc`; nothing when there is none."""
    try:
        yield
    except ServerError:
        with calls.counted(rpc, model, 0, request_id):
            raise
