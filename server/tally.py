"""What has happened to each version since the server started, counted once for everyone who tells of it: metrics and statistics.

Every answer is counted in a dozen places, so counting is plain arithmetic here: prometheus_client's own histograms would take
longer than the rest of the way through the server. Nothing is locked, because every figure has one writer: answers and calls
are told of by the event loop, runs of the engine by whoever feeds it.
"""

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from server.events import (
    STAGES,
    BatchDone,
    Events,
    ImagesAnswered,
    ImagesFailed,
    ImagesRecorded,
    ModelForgotten,
    Outcome,
    RequestDone,
    ShadowRan,
    TensorsAnswered,
    Timings,
)

# Upper bounds of the histograms' buckets.
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
IMAGES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0)
DIFFERENCE = (0.0001, 0.001, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)  # of two probabilities
PROBABILITY = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)


class Histogram:
    """How many values lie in each bucket, and what they sum up to; a bucket includes its upper bound."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)  # the last one is of what lies above all bounds
        self.sum = 0.0

    def observe(self, value: float, times: int = 1) -> None:
        """Counts a value, several times if so many had it."""
        self.counts[bisect_left(self.bounds, value)] += times
        self.sum += value * times


def _stages() -> tuple[Histogram, ...]:
    return tuple(Histogram(SECONDS) for _ in STAGES)


@dataclass(slots=True)
class Runs:
    """Runs of the engine on batches of one size."""

    count: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class VersionTally:
    """Of one version of one model; both empty for calls that named none that there is."""

    model: str
    version: str
    # Seconds of each answered image, in the order of STAGES.
    stages: tuple[Histogram, ...] = field(default_factory=_stages)
    confidence: Histogram = field(default_factory=lambda: Histogram(PROBABILITY))  # of the most probable class
    runs: dict[int, Runs] = field(default_factory=dict)  # by images in one run
    images: Counter[Outcome] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)  # most probable classes
    calls: Counter[tuple[str, str]] = field(default_factory=Counter)  # by RPC and code
    # What travelled together, images or rows, was answered together, and counts once here.
    answers: int = 0
    answer_seconds: list[float] = field(default_factory=lambda: [0.0] * len(STAGES))  # together, in the order of STAGES
    last_answer: float = 0.0  # Unix time in seconds; 0 when there was none

    @property
    def batches(self) -> Histogram:
        """Images in one run."""
        histogram = Histogram(IMAGES)
        for images, runs in self.runs.copy().items():  # the engine's thread may add a size meanwhile
            histogram.observe(images, runs.count)
        return histogram


@dataclass(slots=True)
class ShadowTally:
    """Of one version in the shadow of another."""

    images: Counter[str] = field(default_factory=Counter)  # by outcome
    disagreements: int = 0
    difference: Histogram = field(default_factory=lambda: Histogram(DIFFERENCE))  # the largest of each image


class Tally:
    """Counts what the events tell."""

    def __init__(self, unix_time: Callable[[], float] = time.time) -> None:
        self._unix_time = unix_time
        self._versions: dict[tuple[str, str], VersionTally] = {}
        # Pictures kept, by outcome: "dropped" is counted by the event loop, the others by whoever writes them.
        self.recorded: Counter[str] = Counter()
        self.shadows: dict[tuple[str, str, str], ShadowTally] = {}  # by model, version, and whose shadow it is

    @property
    def versions(self) -> list[VersionTally]:
        """Of every version that something has happened to."""
        return list(self._versions.values())

    def of(self, model: str, version: str) -> VersionTally:
        """Of one version, all zero when nothing has happened to it yet."""
        key = (model, version)
        found = self._versions.get(key)
        if found is None:
            found = self._versions[key] = VersionTally(model, version)
        return found

    def subscribe(self, events: Events) -> None:
        """Counts everything from now on."""
        events.subscribe(ImagesAnswered, self._images_answered)
        events.subscribe(TensorsAnswered, self._tensors_answered)
        events.subscribe(ImagesFailed, self._images_failed)
        events.subscribe(ImagesRecorded, self._images_recorded)
        events.subscribe(RequestDone, self._request_done)
        events.subscribe(BatchDone, self._batch_done)
        events.subscribe(ShadowRan, self._shadow_ran)
        events.subscribe(ModelForgotten, self._forgotten)

    def _images_answered(self, event: ImagesAnswered) -> None:
        of = self._answered(event.model, event.version, event.timings, len(event.confidences))
        for label, confidence in zip(event.labels, event.confidences, strict=True):
            of.labels[label] += 1
            of.confidence.observe(confidence)

    def _tensors_answered(self, event: TensorsAnswered) -> None:
        self._answered(event.model, event.version, event.timings, event.rows)

    def _images_failed(self, event: ImagesFailed) -> None:
        self.of(event.model, event.version).images[event.outcome] += event.images

    def _images_recorded(self, event: ImagesRecorded) -> None:
        self.recorded[event.outcome] += event.images

    def _request_done(self, event: RequestDone) -> None:
        self.of(event.model, event.version).calls[event.rpc, event.code] += 1

    def _batch_done(self, event: BatchDone) -> None:
        of = self.of(event.model, event.version)
        runs = of.runs.setdefault(event.images, Runs())
        runs.count += 1
        runs.seconds += event.seconds

    def _shadow_ran(self, event: ShadowRan) -> None:
        of = self.shadows.setdefault((event.model, event.version, event.of), ShadowTally())
        of.images[event.outcome] += event.images
        of.disagreements += event.disagreements
        for difference in event.differences:
            of.difference.observe(difference)

    def _forgotten(self, event: ModelForgotten) -> None:
        self._versions.pop((event.model, event.version), None)
        kept = self.shadows.items()
        self.shadows = {key: of for key, of in kept if key[0] != event.model or event.version not in key[1:]}

    def _answered(self, model: str, version: str, timings: Timings, images: int) -> VersionTally:
        of = self.of(model, version)
        of.images["ok"] += images
        of.answers += 1
        for stage, seconds in enumerate(timings.by_stage()):
            of.stages[stage].observe(seconds, images)
            of.answer_seconds[stage] += seconds
        of.last_answer = self._unix_time()
        return of
