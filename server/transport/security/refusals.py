"""Turning callers away: counted like every other call, and written to the audit log when they wanted to change what is served."""

from contextlib import nullcontext
from typing import NoReturn

from server.errors import ServerError
from server.transport.calls import Calls
from server.transport.security.access import Caller, Need
from server.transport.security.audit import audited


def refuse(
    error: ServerError, calls: Calls, need: Need, rpc: str, model: str, request_id: str, caller: Caller
) -> NoReturn:
    """Raises `error`. The call counts under no model: what a stranger writes must not make metrics."""
    told = audited(rpc, model, request_id, caller) if need is Need.ADMIN else nullcontext()
    with told, calls.counted(rpc, "", 0, request_id):
        raise error
