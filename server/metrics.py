"""Every metric of the server, and the only module that knows Prometheus.

What happens often is counted by `server.tally` and read here when the page is asked for, as the gauges of the moment are; what
happens seldom, a change of a model's state, is counted here. Units are in the names.
"""

from collections.abc import Iterable, Iterator
from itertools import accumulate

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from server.events import STAGES, EngineFault, Events, ModelChanged, ModelState
from server.tally import Histogram, Tally

_MODEL = ("model", "version")


class Metrics:
    """Writes the page for Prometheus."""

    def __init__(self, tally: Tally, events: Events) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        registry.register(_Tallied(tally))
        self._queue = Gauge("seethrough_queue_images", "Images waiting for the engine now.", _MODEL, registry=registry)
        self._inflight = Gauge("seethrough_inflight_images", "Images admitted and not answered yet.", registry=registry)
        self._info = Gauge(
            "seethrough_model_info",
            "1 for each version in service, with what runs it.",
            (*_MODEL, "engine", "precision", "device"),
            registry=registry,
        )
        self._state = Gauge(
            "seethrough_model_state", "1 for the state that the version is in.", (*_MODEL, "state"), registry=registry
        )
        self._runs_on: dict[tuple[str, str], tuple[str, ...]] = {}  # the labels of _info for each version in service
        self._faults = Counter(
            "seethrough_engine_faults",
            "Engines that failed: a run raised, hung or had too little memory, or an engine could not be built anew.",
            (*_MODEL, "fault"),
            registry=registry,
        )
        self._loads = Counter("seethrough_loads", "Bundles loaded, by outcome.", ("outcome",), registry=registry)
        events.subscribe(ModelChanged, self._changed)
        events.subscribe(EngineFault, self._failed)

    def page(self, inflight: int, queued: Iterable[tuple[str, str, int]]) -> tuple[bytes, str]:
        """The page and its content type; `queued` gives (model, version, images waiting) of each version in service."""
        self._read_gauges(inflight, queued)
        return generate_latest(self._registry), CONTENT_TYPE_LATEST

    def families(self, inflight: int, queued: Iterable[tuple[str, str, int]]) -> list[Metric]:
        """What `page` writes out, as it was collected."""
        self._read_gauges(inflight, queued)
        return list(self._registry.collect())

    def _read_gauges(self, inflight: int, queued: Iterable[tuple[str, str, int]]) -> None:
        self._inflight.set(inflight)
        for model, version, images in queued:
            self._queue.labels(model, version).set(images)

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

    def _failed(self, event: EngineFault) -> None:
        self._faults.labels(event.model, event.version, event.fault).inc()


class _Tallied(Collector):
    """The tally as families of metrics."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    def collect(self) -> Iterator[Metric]:
        """Called by the registry, when the page is asked for."""
        requests = CounterMetricFamily(
            "seethrough_requests", "Calls answered, by status code.", labels=(*_MODEL, "rpc", "code")
        )
        images = CounterMetricFamily(
            "seethrough_images", "Images, by what became of them.", labels=(*_MODEL, "outcome")
        )
        predictions = CounterMetricFamily(
            "seethrough_predictions", "Answered images, by most probable class.", labels=(*_MODEL, "label")
        )
        stages = HistogramMetricFamily(
            "seethrough_stage_seconds",
            "Time of one answered image in each stage; total is from arrival to answer.",
            labels=(*_MODEL, "stage"),
        )
        batches = HistogramMetricFamily("seethrough_batch_images", "Images in one run of the engine.", labels=_MODEL)
        confidence = HistogramMetricFamily(
            "seethrough_confidence", "Probability of the most probable class.", labels=_MODEL
        )
        for of in self._tally.versions:
            model = (of.model, of.version)
            for (rpc, code), count in of.calls.items():
                requests.add_metric((*model, rpc, code), count)
            for outcome, count in of.images.items():
                images.add_metric((*model, outcome), count)
            for label, count in of.labels.items():
                predictions.add_metric((*model, label), count)
            for stage, histogram in zip(STAGES, of.stages, strict=True):
                _add(stages, (*model, stage), histogram)
            _add(batches, model, of.batches)
            _add(confidence, model, of.confidence)
        yield from (requests, images, predictions, stages, batches, confidence)


def _add(family: HistogramMetricFamily, labels: tuple[str, ...], histogram: Histogram) -> None:
    """Adds one, unless it is empty: nothing was ever seen of what these labels name."""
    if any(histogram.counts):
        names = (*map(floatToGoString, histogram.bounds), "+Inf")
        buckets = list(zip(names, accumulate(histogram.counts), strict=True))
        family.add_metric(labels, buckets, histogram.sum)
