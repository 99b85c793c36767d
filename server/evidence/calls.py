"""The call that is in work, followed from its beginning to its end for whoever tells of it.

Everything that happens in a call happens in its task or in tasks that it starts, which inherit its context. So the call is a context
variable: a line in the log finds the request id there, and the images that the serving layer answers find their call, without any
layer in between knowing of either.
"""

import logging
import time
from collections.abc import Callable, Sequence
from contextvars import ContextVar

from msgspec import Struct, field

from server.events import Events, ImagesAnswered, ImagesFailed, TensorsAnswered, Timings
from server.evidence import w3c
from server.evidence.sampling import chosen, trace_chosen
from server.evidence.w3c import Trace

log = logging.getLogger(__name__)

# Ids come from callers, as long as they like.
_LONGEST_ID = 128
_LONGEST_ERROR = 500


class Headers(Struct, frozen=True):
    """What a caller said of the trace that it is part of."""

    traceparent: str = ""
    tracestate: str = ""


class Http(Struct):
    """What is HTTP's own of a call; `route` is the path with the names of its parameters, empty when there is no such path."""

    method: str
    path: str
    scheme: str
    route: str = ""
    status: int = 0


class Stage(Struct):
    """When images of a call were in a stage, the first to enter until the last to leave, in seconds on the server's clock."""

    start: float
    end: float


class Call(Struct):
    """A call in work, or at its end. Times are seconds on the server's clock; `ended_at` is Unix time in nanoseconds."""

    request_id: str
    trace: Trace | None
    began: float
    http: Http | None = None
    rpc: str = ""  # empty while nobody has counted it
    model: str = ""  # with the version, empty when there is no such model
    version: str = ""
    code: str = ""
    error: str = ""  # what its caller was told
    images: int = 0
    batch_images: int = 0  # the most that shared a run of the engine with one of them
    stages: dict[str, Stage] = field(default_factory=dict)
    ended: float = 0.0
    ended_at: int = 0

    @property
    def seconds(self) -> float:
        """From its beginning to its end."""
        return self.ended - self.began

    def kept(self, rate: float) -> bool:
        """Whether it is among the share `rate` (0..1) of calls: by its trace, so that all servers on its way agree, or by its id."""
        return chosen(self.request_id, rate) if self.trace is None else trace_chosen(self.trace.trace_id, rate)

    def route(self, path: str) -> None:
        """Which path of the server it came to, as it is written with the names of its parameters."""
        if self.http is not None:
            self.http.route = path

    def answered(self, now: float, timings: Timings, images: int) -> None:
        """Images that travelled together were answered just now.

        What was measured are durations. Decoding begins when a request has come, queueing after it and inference after that; drawing
        ends with the answer, and before it comes whatever time the answer waited for the event loop.
        """
        self.images += images
        self.batch_images = max(self.batch_images, timings.batch_images)
        came = now - timings.total_seconds
        queued = came + timings.decode_seconds
        drawing = now - timings.render_seconds
        # Of parts of a request the longest of each stage are told: together they may be longer than the whole.
        ran = min(queued + timings.queue_seconds, drawing - timings.infer_seconds)
        self._was_in("decode", came, queued)
        self._was_in("queue", queued, queued + timings.queue_seconds)
        self._was_in("infer", ran, ran + timings.infer_seconds)
        self._was_in("render", drawing, now)

    def _was_in(self, name: str, start: float, end: float) -> None:
        if end <= start:
            return
        known = self.stages.setdefault(name, Stage(start, end))
        known.start, known.end = min(known.start, start), max(known.end, end)


Teller = Callable[[Call], None]

_headers: ContextVar[Headers | None] = ContextVar("headers", default=None)
_current: ContextVar[Call | None] = ContextVar("call", default=None)


def heard(headers: Headers) -> None:
    """What the caller of this task, and of those that it starts, said of its trace."""
    _headers.set(headers)


def current() -> Call | None:
    """The call that this task is part of; None outside of calls, when calls are not followed, and in tasks that outlive their call."""
    call = _current.get()
    return None if call is None or call.ended else call


class Following:
    """Follows calls for those who tell of them; one for all services of a server."""

    def __init__(
        self, events: Events, clock: Callable[[], float], tellers: Sequence[Teller], *, begin_traces: bool
    ) -> None:
        """`begin_traces` gives a trace to calls whose callers have none."""
        self._clock = clock
        self._tellers = tellers
        self._begin_traces = begin_traces
        events.subscribe(ImagesAnswered, self._images_answered)
        events.subscribe(TensorsAnswered, self._tensors_answered)
        events.subscribe(ImagesFailed, self._images_failed)

    def begin(self, request_id: str, http: Http | None = None) -> Call:
        """The call that this task is part of from now on."""
        headers = _headers.get()
        trace = None if headers is None else w3c.read(headers.traceparent, headers.tracestate)
        if trace is None and self._begin_traces:
            trace = w3c.begin()
        call = Call(shown(request_id, _LONGEST_ID), trace, self._clock(), http)
        _current.set(call)
        return call

    def counted(self, request_id: str, rpc: str) -> Call:
        """The call of this task, now that it is known to be one of `rpc`: on HTTP it has begun before, on gRPC it begins."""
        call = current()
        if call is None or call.http is None:
            call = self.begin(request_id)
        call.rpc = rpc
        return call

    def end(self, call: Call, *, told: bool = True) -> None:
        """Tells of a call that has ended, unless it is one that is not `told`."""
        call.ended, call.ended_at = self._clock(), time.time_ns()
        for teller in self._tellers if told else ():
            try:
                teller(call)
            except Exception:
                log.exception("a call cannot be told of")

    def _images_answered(self, event: ImagesAnswered) -> None:
        self._answered(event.timings, len(event.confidences))

    def _tensors_answered(self, event: TensorsAnswered) -> None:
        self._answered(event.timings, event.rows)

    def _images_failed(self, event: ImagesFailed) -> None:
        if (call := current()) is not None:
            call.images += event.images

    def _answered(self, timings: Timings, images: int) -> None:
        if (call := current()) is not None:
            call.answered(self._clock(), timings, images)


def shown(text: str, most: int = _LONGEST_ERROR) -> str:
    """A caller's text in a bounded length, without the characters that begin lines or move cursors."""
    cut = text if len(text) <= most else f"{text[:most]}..."
    return cut if cut.isprintable() else "".join([each if each.isprintable() else ascii(each)[1:-1] for each in cut])
