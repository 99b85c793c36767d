"""Which calls are kept: decided by a hash of their id, so that everything of one call is kept or nothing, in every server alike."""

from hashlib import blake2b

_ALL = 1 << 64


def chosen(request_id: str, rate: float) -> bool:
    """Whether a call is among the share `rate` (0..1) of all calls."""
    if rate <= 0 or rate >= 1:
        return rate > 0
    digest = blake2b(request_id.encode(errors="replace"), digest_size=8).digest()
    return int.from_bytes(digest) < rate * _ALL


def trace_chosen(trace_id: str, rate: float) -> bool:
    """The same for a trace (32 hex digits), by OpenTelemetry's rule, so that equal rates keep equal calls.

    Source: TraceIdRatioBased in https://opentelemetry.io/docs/specs/otel/trace/sdk/, as its implementations do it.
    """
    return int(trace_id[16:], 16) < rate * _ALL
