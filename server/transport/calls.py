"""What every call of every protocol has in common: an id, a place in the log, and a count by its outcome."""

import asyncio
import itertools
import logging
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from server.errors import InternalError, InvalidRequestError, ServerError
from server.events import Events, RequestDone
from server.transport.status import grpc_code

log = logging.getLogger(__name__)

# Model and version to count a call under, from what the caller wrote; empty when there is no such model.
Known = Callable[[str, int], tuple[str, str]]


class Calls:
    """Makes request ids and counts calls; one for all services of a server."""

    def __init__(self, events: Events, known: Known) -> None:
        self._events = events
        self._known = known
        # A random part of this process, so that no other makes the same.
        process = secrets.token_hex(6)
        self._ids = (f"{process}-{number}" for number in itertools.count(1))

    def request_id(self, given: str) -> str:
        """The caller's id, or a new one."""
        return given or next(self._ids)

    @contextmanager
    def counted(self, rpc: str, model: str, version: int, request_id: str) -> Iterator[None]:
        """Counts the block as one call of `rpc` by how it ends: the gRPC code, whatever the transport.

        Raises ServerError only: whatever else goes wrong inside is logged and becomes an InternalError.
        """
        code = "OK"
        try:
            yield
        except ServerError as error:
            code = grpc_code(error).name
            if not isinstance(error, InvalidRequestError):
                log.info("request %r for model %r: %s: %s", request_id, model, code, error)
            raise
        except asyncio.CancelledError:
            code = "CANCELLED"
            raise
        except Exception as error:
            code = "INTERNAL"
            log.exception("request %r for model %r failed", request_id, model)
            raise InternalError("unforeseen error") from error
        finally:
            self._events.emit(RequestDone(*self._known(model, version), rpc, code))
