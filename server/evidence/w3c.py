"""The trace that a call is part of, as callers tell it.

Specification: https://www.w3.org/TR/trace-context/, headers `traceparent` and `tracestate`, which travel as metadata on gRPC.
"""

import re
import secrets

from msgspec import Struct

TRACEPARENT, TRACESTATE = "traceparent", "tracestate"
SAMPLED = 1
# version, trace id, parent id, flags; later versions may have more behind a dash
_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
# What the specification wants everyone to carry on at least.
_LONGEST_STATE = 512


class Trace(Struct, frozen=True):
    """The trace of a call. `parent` is the caller's span, empty when the trace begins here."""

    trace_id: str  # 32 hex digits
    parent: str = ""  # 16 hex digits
    flags: int = 0
    state: str = ""  # the vendors' own, to hand on


def read(traceparent: str, tracestate: str) -> Trace | None:
    """The caller's trace; None without a valid one, which the specification wants ignored."""
    found = _TRACEPARENT.fullmatch(traceparent)
    if found is None:
        return None
    version, trace_id, parent, flags, more = found.groups()
    if version == "ff" or (version == "00" and more) or not int(trace_id, 16) or not int(parent, 16):
        return None
    return Trace(trace_id, parent, int(flags, 16), tracestate if len(tracestate) <= _LONGEST_STATE else "")


def begin() -> Trace:
    """A trace that begins here."""
    return Trace(secrets.token_hex(16))
