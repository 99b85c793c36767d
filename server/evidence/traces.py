"""Spans for OpenTelemetry: one for each call, and below it one for each stage that its images went through.

They are made when a call has ended, from what was measured anyway. The SDK sends them from a thread of its own, out of a bounded queue, to
where the OTEL_* variables say, by OTLP over HTTP. Names follow OpenTelemetry's semantic conventions for RPC and HTTP:
https://opentelemetry.io/docs/specs/semconv/
"""

import logging
import threading
import time
from collections.abc import Callable

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState
from opentelemetry.util.types import AttributeValue

from server import __version__
from server.evidence.calls import Call
from server.evidence.logs import Seldom
from server.evidence.w3c import Trace

log = logging.getLogger(__name__)

# A collector that is away is told of this often.
_COMPLAIN_SECONDS = 60.0
_OWN_RPCS = {"Classify", "ClassifyStream", "ListModels", "GetModel"}
# google.rpc.Code, in the order of its numbers.
_CODES = (
    *(
        "OK",
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
    ),
    *(
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
    ),
    *("DATA_LOSS", "UNAUTHENTICATED"),
)
# Those that the conventions call errors of a server; the others are its callers'.
_SERVER_ERRORS = {"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"}


class Traces:
    """Makes the spans of calls and sends them."""

    def __init__(self, rate: float | None) -> None:
        """`rate` is the share of calls (0..1) to trace where the caller has not decided; None is what OTEL_TRACES_SAMPLER says."""
        _complain_seldom()
        self._ids = _Ids()
        ours = Resource({SERVICE_NAME: "seethrough", SERVICE_VERSION: __version__})
        self._provider = TracerProvider(
            sampler=None if rate is None else ParentBasedTraceIdRatio(rate),
            # What the variables say wins.
            resource=Resource.create().merge(ours).merge(OTELResourceDetector().detect()),
            id_generator=self._ids,
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("seethrough", __version__)

    def __call__(self, call: Call) -> None:
        """Called at the end of each call."""
        if call.trace is None:
            return
        self._ids.trace_id = int(call.trace.trace_id, 16)
        unix = _unix(call)
        attributes = _attributes(call)
        span = self._tracer.start_span(
            _name(call), _parent(call.trace), SpanKind.SERVER, attributes, start_time=unix(call.began)
        )
        if _is_error(call):
            span.set_status(Status(StatusCode.ERROR, call.error or None))
        if span.is_recording():
            within = trace.set_span_in_context(span, Context())
            for name, stage in call.stages.items():
                child = self._tracer.start_span(name, within, start_time=unix(stage.start))
                if name == "infer":
                    child.set_attribute("seethrough.batch_images", call.batch_images)
                child.end(unix(stage.end))
        span.end(call.ended_at)

    def close(self, seconds: float) -> None:
        """Sends what is left, for at most `seconds`; blocking."""
        closing = threading.Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        closing.join(seconds)


class _Ids(RandomIdGenerator):
    """Gives a trace that begins here the id that it has in the log already."""

    trace_id = 0

    def generate_trace_id(self) -> int:
        """Called by the SDK for a span without a parent."""
        return self.trace_id


class _Complaints(logging.Handler):
    """What the SDK logs, thousands of times when a collector is away, in few lines of ours."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._seldom = Seldom(log, _COMPLAIN_SECONDS, time.monotonic)

    def emit(self, record: logging.LogRecord) -> None:
        """Called by `logging`."""
        self._seldom.warning(f"traces are not sent: {record.getMessage()}")


def _complain_seldom() -> None:
    theirs = logging.getLogger("opentelemetry")
    theirs.propagate = False
    theirs.handlers = [_Complaints()]


def _unix(call: Call) -> Callable[[float], int]:
    """From seconds on the server's clock to Unix time in nanoseconds."""
    return lambda seconds: call.ended_at - round((call.ended - seconds) * 1e9)


def _parent(of: Trace) -> Context:
    if not of.parent:
        return Context()
    state = TraceState.from_header([of.state]) if of.state else None
    parent = SpanContext(int(of.trace_id, 16), int(of.parent, 16), True, TraceFlags(of.flags), state)
    return trace.set_span_in_context(NonRecordingSpan(parent), Context())


def _name(call: Call) -> str:
    if call.http is None:
        return f"{_service(call)}/{call.rpc}"
    return f"{call.http.method} {call.http.route}".rstrip()


def _service(call: Call) -> str:
    return "seethrough.v1.ImageClassifier" if call.rpc in _OWN_RPCS else "inference.GRPCInferenceService"


def _attributes(call: Call) -> dict[str, AttributeValue]:
    found: dict[str, AttributeValue] = {"seethrough.request_id": call.request_id}
    if call.model:
        found |= {"seethrough.model": call.model, "seethrough.version": call.version}
    if call.images:
        found["seethrough.images"] = call.images
    if call.http is None:
        return found | {
            "rpc.system": "grpc",
            "rpc.service": _service(call),
            "rpc.method": call.rpc,
            "rpc.grpc.status_code": _CODES.index(call.code),
        }
    found |= {"http.request.method": call.http.method, "url.path": call.http.path, "url.scheme": call.http.scheme}
    if call.http.status:
        found["http.response.status_code"] = call.http.status
    return found | ({"http.route": call.http.route} if call.http.route else {})


def _is_error(call: Call) -> bool:
    return call.code in _SERVER_ERRORS if call.http is None else call.http.status >= 500
