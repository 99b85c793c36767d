"""Every metric of the server, and the only module that knows Prometheus.

What happens often is counted by `server.tally` and read here when the page is asked for, as the gauges of the moment are; what
happens seldom, a change of a model's state, is counted here. Units are in the names.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate
from typing import get_args

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from server.batching.lane import Fault
from server.events import (
    STAGES,
    BundleTried,
    CertificateRead,
    EngineFault,
    Events,
    ModelChanged,
    ModelForgotten,
    ModelState,
    Outcome,
    RolesChanged,
)
from server.gpu_memory import gpu_memory
from server.tally import Histogram, Tally

_MODEL = ("model", "version")


class Metrics:
    """Writes the page for Prometheus."""

    def __init__(self, tally: Tally, events: Events) -> None:
        self._registry = registry = CollectorRegistry()
        self._runs_on: dict[tuple[str, str], tuple[str, ...]] = {}  # the labels of _info for each version in service
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        registry.register(_Tallied(tally))
        registry.register(_Gpus(lambda: any(runs_on[-1] == "cuda" for runs_on in self._runs_on.values())))
        self._queue = Gauge("seethrough_queue_images", "Images waiting for the engine now.", _MODEL, registry=registry)
        self._inflight = Gauge("seethrough_inflight_images", "Images admitted and not answered yet.", registry=registry)
        self._info = Gauge(
            "seethrough_model_info",
            "1 for each version in service, with what runs it.",
            (*_MODEL, "engine", "precision", "device"),
            registry=registry,
        )
        self._state = Gauge(
            "seethrough_model_state",
            "1 for the state that the version is in; refused, too, when it is in service and a newer bundle of its number was refused.",
            (*_MODEL, "state"),
            registry=registry,
        )
        self._faults = Counter(
            "seethrough_engine_faults",
            "Engines that failed: a run raised, hung or had too little memory, or an engine could not be built anew.",
            (*_MODEL, "fault"),
            registry=registry,
        )
        self._loads = Counter("seethrough_loads", "Bundles loaded, by outcome.", ("outcome",), registry=registry)
        for outcome in ("serving", "refused"):
            self._loads.labels(outcome)
        events.subscribe(BundleTried, lambda event: self._loads.labels(event.outcome).inc())
        events.subscribe(RolesChanged, _Roles(registry).changed)
        self._expiry = Gauge(
            "seethrough_certificate_expiry_timestamp_seconds",
            "Unix time at which the first certificate in the file expires.",
            ("file",),
            registry=registry,
        )
        events.subscribe(CertificateRead, lambda event: self._expiry.labels(event.file).set(event.expires))
        events.subscribe(ModelChanged, self._changed)
        events.subscribe(ModelForgotten, self._forgotten)
        events.subscribe(EngineFault, lambda event: self._faults.labels(event.model, event.version, event.fault).inc())

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
        self._queue.clear()  # of versions that are gone
        for model, version, images in queued:
            self._queue.labels(model, version).set(images)

    def _changed(self, event: ModelChanged) -> None:
        for state in ModelState:
            is_refused_beside = state is ModelState.REFUSED and event.state is ModelState.SERVING and bool(event.reason)
            self._state.labels(event.model, event.version, state).set(state is event.state or is_refused_beside)
        if (before := self._runs_on.pop((event.model, event.version), None)) is not None:
            self._info.remove(*before)
        if event.state is ModelState.SERVING:
            now = (event.model, event.version, event.engine, event.precision, event.device)
            self._runs_on[event.model, event.version] = now
            self._info.labels(*now).set(1)
            for fault in Fault:  # from 0 on, so that the first one is an increase
                self._faults.labels(event.model, event.version, fault)

    def _forgotten(self, event: ModelForgotten) -> None:
        for family in (self._state, self._faults):
            family.remove_by_labels({"model": event.model, "version": event.version})


class _Roles:
    """What versions are called."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._label = Gauge(
            "seethrough_model_label", "1 for what versions are called.", (*_MODEL, "label"), registry=registry
        )
        self._refused = Gauge(
            "seethrough_roles_refused", "1 while the model's versions.toml is no good.", ("model",), registry=registry
        )
        self._known: dict[str, set[tuple[str, str, str]]] = {}  # the labels of _label, by model

    def changed(self, event: RolesChanged) -> None:
        """Told by an event."""
        now = {(event.model, str(version), label) for label, version in event.labels.items()}
        for each in self._known.get(event.model, set()) - now:
            self._label.remove(*each)
        for each in now:
            self._label.labels(*each).set(1)
        self._known[event.model] = now
        self._refused.labels(event.model).set(bool(event.refusal))


class _Gpus(Collector):
    """The memory of the GPUs, while a model runs on one."""

    def __init__(self, is_used: Callable[[], bool]) -> None:
        self._is_used = is_used

    def collect(self) -> Iterator[Metric]:
        """Called by the registry, when the page is asked for."""
        used = GaugeMetricFamily(
            "seethrough_gpu_memory_used_bytes", "Memory of the device that is taken, by whomever.", labels=("gpu",)
        )
        total = GaugeMetricFamily("seethrough_gpu_memory_total_bytes", "Memory of the device.", labels=("gpu",))
        for memory in gpu_memory() if self._is_used() else ():
            used.add_metric((str(memory.gpu),), memory.used_bytes)
            total.add_metric((str(memory.gpu),), memory.total_bytes)
        yield from (used, total)


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
            for outcome in get_args(Outcome):  # also what has not happened yet, so that the first time is an increase
                images.add_metric((*model, outcome), of.images[outcome])
            for label, count in of.labels.items():
                predictions.add_metric((*model, label), count)
            for stage, histogram in zip(STAGES, of.stages, strict=True):
                _add(stages, (*model, stage), histogram)
            _add(batches, model, of.batches)
            _add(confidence, model, of.confidence)
        yield from (requests, images, predictions, stages, batches, confidence)
        yield from self._shadows()
        recorded = CounterMetricFamily(
            "seethrough_recorded_images", "Pictures chosen to be kept, by what became of them.", labels=("outcome",)
        )
        for became, count in self._tally.recorded.copy().items():
            recorded.add_metric((became,), count)
        yield recorded

    def _shadows(self) -> Iterator[Metric]:
        names = (*_MODEL, "of")
        images = CounterMetricFamily(
            "seethrough_shadow_images",
            "Images tried in the shadow of version `of`, by what became of them.",
            labels=(*names, "outcome"),
        )
        disagreements = CounterMetricFamily(
            "seethrough_shadow_disagreement", "Compared images with another answer in the shadow.", labels=names
        )
        difference = HistogramMetricFamily(
            "seethrough_shadow_probability_difference",
            "Largest difference of a probability of one image.",
            labels=names,
        )
        for key, of in self._tally.shadows.items():
            for outcome, count in of.images.items():
                images.add_metric((*key, outcome), count)
            disagreements.add_metric(key, of.disagreements)
            _add(difference, key, of.difference)
        yield from (images, disagreements, difference)


def _add(family: HistogramMetricFamily, labels: tuple[str, ...], histogram: Histogram) -> None:
    """Adds one, unless it is empty: nothing was ever seen of what these labels name."""
    if any(histogram.counts):
        names = (*map(floatToGoString, histogram.bounds), "+Inf")
        buckets = list(zip(names, accumulate(histogram.counts), strict=True))
        family.add_metric(labels, buckets, histogram.sum)
