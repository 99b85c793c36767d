"""What every call of every protocol has in common: an id, a place in the log, and a count by its outcome."""

import asyncio
import contextlib
import itertools
import logging
import secrets
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

from server.errors import InternalError, ServerError
from server.events import Events, RequestDone
from server.evidence.calls import Call, Following, Headers, Http, heard, shown
from server.evidence.w3c import TRACEPARENT, TRACESTATE
from server.transport.status import grpc_code

log = logging.getLogger(__name__)

# Model and version to count a call under, from what the caller wrote (a version's number or label, 0 or empty for none); empty when there
# is no such model.
Known = Callable[[str, int | str], tuple[str, str]]


class Calls:
    """Makes request ids and counts calls; one for all services of a server."""

    def __init__(self, events: Events, known: Known, following: Following | None = None) -> None:
        """`following` is there when someone tells of calls."""
        self._events = events
        self._known = known
        self.following = following
        # A random part of this process, so that no other makes the same.
        process = secrets.token_hex(6)
        self._ids = (f"{process}-{number}" for number in itertools.count(1))

    def request_id(self, given: str) -> str:
        """The caller's id, or a new one."""
        return given or next(self._ids)

    def counted(self, rpc: str, model: str, version: int | str, request_id: str) -> "Counted":
        """Counts the block as one call of `rpc` by how it ends: the gRPC code, whatever the transport.

        The block raises ServerErrors only: whatever else goes wrong inside is logged and becomes an InternalError.
        """
        return Counted(self, rpc, model, version, request_id)

    def refused(self, rpc: str, request_id: str, error: ServerError) -> None:
        """Counts a call that was refused before it was known what it asks for."""
        with contextlib.suppress(ServerError), self.counted(rpc, "", 0, request_id):
            raise error

    def begun_http(self, request_id: str, given: Mapping[bytes, bytes], scope: Mapping[str, Any]) -> Call | None:
        """The call, when calls are followed: on HTTP it begins before it is known what it asks for; `given` are its headers, `scope` is ASGI's."""
        if self.following is None:
            return None
        traceparent, tracestate = (
            given.get(name.encode(), b"").decode("latin-1") for name in (TRACEPARENT, TRACESTATE)
        )
        heard(Headers(traceparent, tracestate))
        path = scope["raw_path"].decode("ascii", "replace")
        return self.following.begin(request_id, Http(scope["method"], path, scope["scheme"]))

    def done(self, rpc: str, model: str, version: int | str, code: str, call: Call | None, error: str) -> None:
        """Tells of a call that has ended; on HTTP it ends with its reply."""
        known = self._known(model, version)
        self._events.emit(RequestDone(*known, rpc, code))
        if call is not None and self.following is not None:
            call.model, call.version = known
            call.code, call.error = code, shown(error)
            if call.http is None:
                self.following.end(call)

    def done_http(self, call: Call | None, status: int, code: str, error: str) -> None:
        """Tells of a call on HTTP that has ended, unless it is one that nobody counts, such as a probe, and was not refused."""
        if call is None or call.http is None or self.following is None:
            return
        call.http.status, call.code, call.error = status, code, shown(error)
        self.following.end(call, told=bool(call.rpc) or 400 <= status < 500)


class Counted:
    """One call, as a context manager. A class, because one made from a generator takes three times as long."""

    __slots__ = ("_call", "_calls", "_model", "_request_id", "_rpc", "_version")

    def __init__(self, calls: Calls, rpc: str, model: str, version: int | str, request_id: str) -> None:
        self._calls = calls
        self._rpc = rpc
        self._model = model
        self._version = version
        self._request_id = request_id

    def __enter__(self) -> None:
        following = self._calls.following
        self._call = None if following is None else following.counted(self._request_id, self._rpc)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        code, unforeseen = ("OK", None) if error is None else self._judged(error)
        why = str(error) if isinstance(error, ServerError) else ""
        self._calls.done(self._rpc, self._model, self._version, code, self._call, why)
        if unforeseen is not None:
            raise unforeseen from error

    def _judged(self, error: BaseException) -> tuple[str, InternalError | None]:
        """The code of an error, and what to raise in its place if it was not foreseen."""
        request_id, model = self._request_id, self._model
        match error:
            case ServerError():
                code = grpc_code(error).name
                if isinstance(error, InternalError):  # the others are told of by the share of calls that is logged
                    log.error("request %r for model %r: %s: %s", request_id, model, code, error)
                return code, None
            case asyncio.CancelledError():
                return "CANCELLED", None
            case Exception():
                log.error("request %r for model %r failed", request_id, model, exc_info=error)
                return "INTERNAL", InternalError("unforeseen error")
        return "INTERNAL", None  # the interpreter ends
