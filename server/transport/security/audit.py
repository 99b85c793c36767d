"""The audit log: one line for each call that changes what is served, or tries to, with who asked and how it ended.

The logger `seethrough.audit` writes whatever --log-level says. Its lines are `key=value` with values as JSON, so that nothing that a
caller sends can look like another field or another line; a log of JSON objects has them as fields of its own.
"""

import asyncio
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager

from server.errors import ServerError
from server.transport.security.access import Caller
from server.transport.status import grpc_code

log = logging.getLogger("seethrough.audit")
log.setLevel(logging.INFO)


@contextmanager
def audited(call: str, model: str, request_id: str, caller: Caller) -> Iterator[None]:
    """Writes the line of the block when it ends; `model` is empty when the request was refused unread."""
    code = "INTERNAL"
    try:
        yield
        code = "OK"
    except ServerError as error:
        code = grpc_code(error).name
        raise
    except asyncio.CancelledError:
        code = "CANCELLED"
        raise
    finally:
        fields = {
            "call": call,
            "model": model,
            "code": code,
            "token": caller.token,
            "certificate": caller.certificate,
            "peer": caller.peer,
            "request_id": request_id,
        }
        log.info("%s", " ".join(f"{name}={json.dumps(value)}" for name, value in fields.items()), extra=fields)
