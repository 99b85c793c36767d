"""What every call of every protocol has in common: an id, a place in the log, and a count by its outcome."""

import asyncio
import itertools
import logging
import secrets
from collections.abc import Callable
from types import TracebackType

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

    def counted(self, rpc: str, model: str, version: int, request_id: str) -> "Counted":
        """Counts the block as one call of `rpc` by how it ends: the gRPC code, whatever the transport.

        The block raises ServerErrors only: whatever else goes wrong inside is logged and becomes an InternalError.
        """
        return Counted(self, rpc, model, version, request_id)

    def done(self, rpc: str, model: str, version: int, code: str) -> None:
        """Tells of a call that has ended."""
        self._events.emit(RequestDone(*self._known(model, version), rpc, code))


class Counted:
    """One call, as a context manager. A class, because one made from a generator takes three times as long."""

    __slots__ = ("_calls", "_model", "_request_id", "_rpc", "_version")

    def __init__(self, calls: Calls, rpc: str, model: str, version: int, request_id: str) -> None:
        self._calls = calls
        self._rpc = rpc
        self._model = model
        self._version = version
        self._request_id = request_id

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        code, unforeseen = ("OK", None) if error is None else self._judged(error)
        self._calls.done(self._rpc, self._model, self._version, code)
        if unforeseen is not None:
            raise unforeseen from error

    def _judged(self, error: BaseException) -> tuple[str, InternalError | None]:
        """The code of an error, and what to raise in its place if it was not foreseen."""
        request_id, model = self._request_id, self._model
        match error:
            case ServerError():
                code = grpc_code(error).name
                if not isinstance(error, InvalidRequestError):
                    log.info("request %r for model %r: %s: %s", request_id, model, code, error)
                return code, None
            case asyncio.CancelledError():
                return "CANCELLED", None
            case Exception():
                log.error("request %r for model %r failed", request_id, model, exc_info=error)
                return "INTERNAL", InternalError("unforeseen error")
        return "INTERNAL", None  # the interpreter ends
