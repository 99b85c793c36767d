"""Every metric of the server, and the only module that knows Prometheus.

Counters and histograms follow the events; gauges are read when the page is asked for. Units are in the names.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Metric,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

from server.events import (
    STAGES,
    BatchDone,
    Event,
    ImageAnswered,
    ImagesFailed,
    ModelChanged,
    ModelState,
    RequestDone,
    TensorsAnswered,
    Timings,
)

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_IMAGES = (1, 2, 4, 8, 16, 32, 64, 128)
_PROBABILITY = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1)
_MODEL = ("model", "version")


@dataclass(frozen=True, slots=True)
class _Answers:
    images: Counter
    stages: tuple[tuple[str, Histogram], ...]  # field of Timings, its histogram
    confidence: Histogram

    def count(self, timings: Timings, images: int) -> None:
        self.images.inc(images)
        for stage, histogram in self.stages:
            histogram.observe(getattr(timings, stage))


class Metrics:
    """Subscribes to events as `on_event` and writes the page for Prometheus."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        self._requests = Counter(
            "seethrough_requests", "Calls answered, by status code.", (*_MODEL, "rpc", "code"), registry=registry
        )
        self._images = Counter(
            "seethrough_images", "Images, by what became of them.", (*_MODEL, "outcome"), registry=registry
        )
        self._stages = Histogram(
            "seethrough_stage_seconds",
            "Time of one answered image in each stage; total is from arrival to answer.",
            (*_MODEL, "stage"),
            buckets=_SECONDS,
            registry=registry,
        )
        self._batches = Histogram(
            "seethrough_batch_images", "Images in one run of the engine.", _MODEL, buckets=_IMAGES, registry=registry
        )
        self._queue = Gauge("seethrough_queue_images", "Images waiting for the engine now.", _MODEL, registry=registry)
        self._inflight = Gauge("seethrough_inflight_images", "Images admitted and not answered yet.", registry=registry)
        self._predictions = Counter(
            "seethrough_predictions", "Answered images, by most probable class.", (*_MODEL, "label"), registry=registry
        )
        self._confidence = Histogram(
            "seethrough_confidence",
            "Probability of the most probable class.",
            _MODEL,
            buckets=_PROBABILITY,
            registry=registry,
        )
        self._info = Gauge(
            "seethrough_model_info",
            "1 for each version in service, with what runs it.",
            (*_MODEL, "engine", "precision", "device"),
            registry=registry,
        )
        self._state = Gauge(
            "seethrough_model_state", "1 for the state that the version is in.", (*_MODEL, "state"), registry=registry
        )
        self._answers: dict[tuple[str, str], _Answers] = {}
        self._runs_on: dict[tuple[str, str], tuple[str, ...]] = {}  # the labels of _info for each version in service
        self._loads = Counter("seethrough_loads", "Bundles loaded, by outcome.", ("outcome",), registry=registry)

    def page(self, inflight: int, queued: Iterable[tuple[str, str, int]]) -> tuple[bytes, str]:
        """The page and its content type; `queued` gives (model, version, images waiting) of each version in service."""
        self._read_gauges(inflight, queued)
        return generate_latest(self._registry), CONTENT_TYPE_LATEST

    def families(self, inflight: int, queued: Iterable[tuple[str, str, int]]) -> list[Metric]:
        """What `page` writes out, as it was collected."""
        self._read_gauges(inflight, queued)
        return list(self._registry.collect())

    def on_event(self, event: Event) -> None:
        """Counts an event; safe from every thread."""
        match event:
            case ImageAnswered():
                self._answered(event)
            case TensorsAnswered():
                self._of_answers(event.model, event.version).count(event.timings, event.rows)
            case ImagesFailed():
                self._images.labels(event.model, event.version, event.outcome).inc(event.images)
            case BatchDone():
                self._batches.labels(event.model, event.version).observe(event.images)
            case RequestDone():
                self._requests.labels(event.model, event.version, event.rpc, event.code).inc()
            case ModelChanged():
                self._changed(event)

    def _read_gauges(self, inflight: int, queued: Iterable[tuple[str, str, int]]) -> None:
        self._inflight.set(inflight)
        for model, version, images in queued:
            self._queue.labels(model, version).set(images)

    def _answered(self, event: ImageAnswered) -> None:
        model, version = event.model, event.version
        answered = self._of_answers(model, version)
        answered.count(event.timings, 1)
        answered.confidence.observe(event.confidence)
        self._predictions.labels(model, version, event.label).inc()

    def _of_answers(self, model: str, version: str) -> "_Answers":
        """What every answer of a version touches, looked up once: finding a label set costs more than counting."""
        known = self._answers.get((model, version))
        if known is None:
            stages = tuple((f"{stage}_seconds", self._stages.labels(model, version, stage)) for stage in STAGES)
            ok, confidence = self._images.labels(model, version, "ok"), self._confidence.labels(model, version)
            known = self._answers[model, version] = _Answers(ok, stages, confidence)
        return known

    def _changed(self, event: ModelChanged) -> None:
        for state in ModelState:
            self._state.labels(event.model, event.version, state).set(state is event.state)
        if (before := self._runs_on.pop((event.model, event.version), None)) is not None:
            self._info.remove(*before)
        if event.state is ModelState.SERVING:
            now = (event.model, event.version, event.engine, event.precision, event.device)
            self._runs_on[event.model, event.version] = now
            self._info.labels(*now).set(1)
        if event.state in (ModelState.SERVING, ModelState.REFUSED):
            self._loads.labels(event.state.value).inc()
