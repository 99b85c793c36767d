"""The line in the log for a call that has ended."""

import logging

from server.evidence.calls import Call

log = logging.getLogger(__name__)


class RequestLog:
    """Tells of the share `rate` (0..1) of calls, and of every one that failed through the server's fault."""

    def __init__(self, rate: float) -> None:
        self._rate = rate

    def __call__(self, call: Call) -> None:
        """Called at the end of each call."""
        level = logging.ERROR if call.code == "INTERNAL" else logging.INFO
        if (level == logging.ERROR or call.kept(self._rate)) and log.isEnabledFor(level):
            log.log(level, "%s", _sentence(call), extra=_fields(call))


def _sentence(call: Call) -> str:
    what = call.rpc or (call.http and f"{call.http.method} {call.http.path}") or "?"
    which = f" {call.model}/{call.version}" if call.model else ""
    images = f", {call.images} image{'s' * (call.images > 1)}" if call.images else ""
    trace = f", trace {call.trace.trace_id}" if call.trace else ""
    why = f" ({call.error})" if call.error else ""
    return f"request {call.request_id!r}{trace}: {what}{which}: {call.code}{why} in {call.seconds:.4f} s{images}"


def _fields(call: Call) -> dict[str, object]:
    found: dict[str, object] = {
        "request_id": call.request_id,
        "rpc": call.rpc,
        "model": call.model,
        "version": call.version,
        "code": call.code,
        "seconds": round(call.seconds, 6),
        "images": call.images,
    }
    if call.http is not None:
        found |= {"method": call.http.method, "path": call.http.path, "status": call.http.status}
    if call.trace is not None:
        found["trace_id"] = call.trace.trace_id
    if call.error:
        found["error"] = call.error
    return found
