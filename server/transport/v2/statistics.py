"""What each version has done since the server started, in the terms of Triton's statistics extension.

A subscriber of the events, as the metrics are. Every image counts as a request of its own, because it travels alone: it is
decoded, queued and answered by itself whatever call it came with; rows for a model without images travel together and are
one request. Decoding is Triton's `compute_input`, drawing heatmaps its `compute_output`.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from server.events import BatchDone, Event, ImageAnswered, ImagesFailed, TensorsAnswered, Timings


@dataclass
class Duration:
    """How often, and how many nanoseconds together."""

    count: int = 0
    nanoseconds: int = 0

    def add(self, seconds: float) -> None:
        """Once more."""
        self.count += 1
        self.nanoseconds += round(seconds * 1e9)


@dataclass
class VersionStatistics:
    """Of one version. `batches` has the engine's runs by how many items they had; `last_inference_ms` is Unix time."""

    name: str
    version: str
    last_inference_ms: int = 0
    inferences: int = 0
    executions: int = 0
    failed: int = 0
    success: Duration = field(default_factory=Duration)
    queue: Duration = field(default_factory=Duration)
    compute_input: Duration = field(default_factory=Duration)
    compute_infer: Duration = field(default_factory=Duration)
    compute_output: Duration = field(default_factory=Duration)
    batches: dict[int, Duration] = field(default_factory=dict)


class Statistics:
    """Subscribes to events as `on_event`."""

    def __init__(self, unix_time: Callable[[], float] = time.time) -> None:
        self._unix_time = unix_time
        self._versions: dict[tuple[str, str], VersionStatistics] = {}
        self._lock = threading.Lock()  # batches are told of by the engines' threads

    def of(self, name: str, version: str) -> VersionStatistics:
        """The statistics of a version, all zero when it has done nothing yet."""
        return self._versions.get((name, version)) or VersionStatistics(name, version)

    def on_event(self, event: Event) -> None:
        """Counts an event; safe from every thread."""
        if not isinstance(event, ImageAnswered | TensorsAnswered | ImagesFailed | BatchDone):
            return
        with self._lock:
            key = (event.model, event.version)
            of = self._versions.setdefault(key, VersionStatistics(*key))
            match event:
                case ImageAnswered():
                    self._answered(of, event.timings, 1)
                case TensorsAnswered():
                    self._answered(of, event.timings, event.rows)
                case ImagesFailed():
                    of.failed += event.images
                case BatchDone():
                    of.executions += 1
                    of.batches.setdefault(event.images, Duration()).add(event.seconds)

    def _answered(self, of: VersionStatistics, timings: Timings, items: int) -> None:
        of.inferences += items
        of.last_inference_ms = round(self._unix_time() * 1000)
        of.success.add(timings.total_seconds)
        of.queue.add(timings.queue_seconds)
        of.compute_input.add(timings.decode_seconds)
        of.compute_infer.add(timings.infer_seconds)
        of.compute_output.add(timings.render_seconds)
