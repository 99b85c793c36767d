"""Everything that is written of calls, put together as the settings ask. What is off is not there, and not imported."""

import asyncio
from collections.abc import Callable

from server.config import Evidence, LogFormat, StartError
from server.events import Events
from server.evidence.calls import Following, Teller
from server.evidence.requests import RequestLog
from server.serving.observers import Observer

_FLUSH_SECONDS = 5.0


class Parts:
    """`following` is for the transports, None when nobody tells of calls; `observers` are for the serving layer."""

    def __init__(self, settings: Evidence, processes: int, events: Events, clock: Callable[[], float]) -> None:
        """Raises StartError when the folder for records cannot be used."""
        self.observers: tuple[Observer, ...] = ()
        self._closers: list[Callable[[float], None]] = []
        tellers: list[Teller] = []
        if settings.log_rate > 0:
            tellers.append(RequestLog(settings.log_rate))
        if settings.traces:
            tellers.append(self._traces(settings.trace_rate))
        if settings.record is not None:
            self.observers = (self._recorder(settings, processes, events),)
        self.following: Following | None = None
        if tellers or settings.log_format is LogFormat.JSON:
            self.following = Following(events, clock, tellers, begin_traces=settings.traces)

    async def close(self, seconds: float) -> None:
        """Writes and sends what is left, for at most `seconds` and never long: a collector that is away is not waited for."""
        bounded = max(0.0, min(seconds, _FLUSH_SECONDS))
        await asyncio.gather(*(asyncio.to_thread(each, bounded) for each in self._closers))

    def _traces(self, rate: float | None) -> Teller:
        from server.evidence.traces import Traces

        traces = Traces(rate)
        self._closers.append(traces.close)
        return traces

    def _recorder(self, settings: Evidence, processes: int, events: Events) -> Observer:
        from server.evidence.recorder import Recorder

        assert settings.record is not None, "asked for"  # noqa: S101  for the type checker
        try:
            recorder = Recorder(settings.record, settings.record_rate, settings.record_max_bytes, processes, events)
        except OSError as error:
            raise StartError(
                f"cannot record into {settings.record}: {error.strerror}; choose another folder"
            ) from error
        self._closers.append(recorder.close)
        return recorder
