"""The last minutes in figures, for a person who looks now: what Prometheus and Grafana would draw, where there are none.

Every few seconds the counters of the metrics are noted, and what lies between two notes is a point of a curve. Counting itself knows
nothing of it. A lone process reads its tally, which takes no time; one of several reads the metrics of all of them, which takes some
milliseconds of each, and so does it more seldom the more they are. A quarter of an hour is kept; whoever needs more has Prometheus.
"""

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from server.events import STAGES
from server.families import Family, Sample
from server.tally import IMAGES, SECONDS, Tally, VersionTally

log = logging.getLogger(__name__)

STEP_SECONDS = 5.0
KEPT_SECONDS = 900.0

# Calls that ask a model for answers; the others are people and machines that look about.
_WORK = frozenset({"Classify", "ClassifyStream", "ModelInfer", "ModelStreamInfer"})
# Place of each bucket by its upper bound.
_SECONDS = {bound: place for place, bound in enumerate((*SECONDS, float("inf")))}
_IMAGES = {bound: place for place, bound in enumerate((*IMAGES, float("inf")))}

Array = NDArray[np.float64]


def _no_stages() -> Array:
    return np.zeros((len(STAGES), len(_SECONDS)))


def _no_batches() -> Array:
    return np.zeros(len(_IMAGES))


@dataclass(frozen=True)
class Counted:
    """Counters of a version. Each bucket of a histogram has those below it in it, as Prometheus has them."""

    calls: Counter[str] = field(default_factory=Counter)  # by code
    images: Counter[str] = field(default_factory=Counter)  # by outcome
    stages: Array = field(default_factory=_no_stages)  # [stage, bucket]
    batches: Array = field(default_factory=_no_batches)  # [bucket]

    def equals(self, other: "Counted") -> bool:
        """Whether nothing was counted between the two."""
        return (
            (self.calls, self.images) == (other.calls, other.images)
            and np.array_equal(self.stages, other.stages)
            and np.array_equal(self.batches, other.batches)
        )


@dataclass(frozen=True)
class Reading:
    """All counters as they are, by model and version; both are empty for calls that named none that there is."""

    versions: Mapping[tuple[str, str], Counted]
    inflight: float  # images admitted and not answered yet


@dataclass(frozen=True)
class _Note:
    time: float  # Unix time, seconds
    read: Reading


@dataclass(frozen=True)
class Window:
    """What happened from note to note, T points in time order; `times` are Unix seconds of their ends, `seconds` how long each took."""

    times: Array  # [T]
    seconds: Array  # [T]
    inflight: Array  # [T]
    calls: Mapping[str, Array]  # by code, [T] each
    images: Mapping[str, Array]  # by outcome, [T] each
    stages: Array  # [T, stage, bucket]
    batches: Array  # [T, bucket]


class History:
    """Keeps notes of the metrics of the last `KEPT_SECONDS`."""

    def __init__(
        self,
        read: Callable[[], Awaitable[Reading]],
        processes: int = 1,
        unix_time: Callable[[], float] = time.time,
    ) -> None:
        """`read` is `of_tally`, or `of_families` where there are several processes."""
        self._read = read
        self._step = STEP_SECONDS * processes
        self._unix_time = unix_time
        self._notes: deque[_Note] = deque()

    async def keep(self) -> None:
        """Takes notes until it is cancelled."""
        while True:
            try:
                await self.note()
            except Exception:  # another process of the server may be starting
                log.debug("no note was taken of the metrics", exc_info=True)
            await asyncio.sleep(self._step)

    async def note(self) -> None:
        """Takes one now, and forgets those that are too old."""
        found = await self._read()
        before = self._notes[-1].read.versions if self._notes else {}
        # A version that nobody asks is one object in all notes.
        kept = {
            key: before[key] if key in before and before[key].equals(counted) else counted
            for key, counted in found.versions.items()
        }
        self._notes.append(_Note(self._unix_time(), Reading(kept, found.inflight)))
        while self._notes[-1].time - self._notes[0].time > KEPT_SECONDS:
            self._notes.popleft()

    def window(self, seconds: float, model: str, version: str) -> Window:
        """The last `seconds` of a model's version; empty stands for all."""
        start = self._notes[-1].time - seconds - self._step / 2 if self._notes else 0.0
        notes = [note for note in self._notes if note.time >= start]
        counted = [_together(note.read, model, version) for note in notes]
        times = np.array([note.time for note in notes])
        return Window(
            times[1:],
            np.diff(times),
            np.array([note.read.inflight for note in notes])[1:],
            _rises([each.calls for each in counted]),
            _rises([each.images for each in counted]),
            np.diff(np.array([each.stages for each in counted]).reshape(-1, len(STAGES), len(_SECONDS)), axis=0),
            np.diff(np.array([each.batches for each in counted]).reshape(-1, len(_IMAGES)), axis=0),
        )


def quantile(buckets: Array, share: float) -> Array:
    """The seconds that `share` of each histogram lie below, [...] for [..., bucket]; NaN for an empty one.

    Linear within a bucket and never above the highest bound, as Prometheus' histogram_quantile is:
    https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile
    """
    bounds = np.array((0.0, *SECONDS, SECONDS[-1]))
    below = np.concatenate([np.zeros((*buckets.shape[:-1], 1)), buckets], axis=-1)
    total = buckets[..., -1:]
    rank = share * total
    place = (buckets >= rank).argmax(axis=-1)[..., None]
    low, high = np.take_along_axis(below, place, -1), np.take_along_axis(below, place + 1, -1)
    within = np.divide(rank - low, high - low, out=np.zeros_like(rank), where=high > low)
    value = bounds[place] + within * (bounds[place + 1] - bounds[place])
    return np.where(total > 0, value, np.nan)[..., 0]


def _together(read: Reading, model: str, version: str) -> Counted:
    chosen = [
        counted for (name, number), counted in read.versions.items() if model in ("", name) and version in ("", number)
    ]
    return Counted(
        sum((each.calls for each in chosen), Counter()),
        sum((each.images for each in chosen), Counter()),
        sum((each.stages for each in chosen), _no_stages()),
        sum((each.batches for each in chosen), _no_batches()),
    )


def _rises(counts: Sequence[Counter[str]]) -> dict[str, Array]:
    names = sorted(set().union(*counts))
    return {name: np.diff(np.array([count[name] for count in counts], np.float64)) for name in names}


def of_tally(tally: Tally, inflight: float) -> Reading:
    """What a process has counted itself."""
    return Reading({(each.model, each.version): _counted(each) for each in tally.versions}, inflight)


def _counted(of: VersionTally) -> Counted:
    calls: Counter[str] = Counter()
    for (rpc, code), count in of.calls.items():
        if rpc in _WORK:
            calls[code] += count
    stages = np.cumsum(np.array([stage.counts for stage in of.stages], np.float64), axis=1)
    images = Counter({str(outcome): count for outcome, count in of.images.items()})
    return Counted(calls, images, stages, np.cumsum(np.array(of.batches.counts, np.float64)))


def of_families(families: Iterable[Family]) -> Reading:
    """What the metrics say."""
    versions: dict[tuple[str, str], Counted] = {}
    inflight = 0.0
    for family in families:
        if family.name == "seethrough_inflight_images":
            inflight = family.samples[0].value
        elif take := _TAKE.get(family.name):
            for sample in family.samples:
                key = sample.labels["model"], sample.labels["version"]
                take(versions.setdefault(key, Counted()), sample)
    return Reading(versions, inflight)


def _take_call(counted: Counted, sample: Sample) -> None:
    if sample.name.endswith("_total") and sample.labels["rpc"] in _WORK:
        counted.calls[sample.labels["code"]] += int(sample.value)


def _take_images(counted: Counted, sample: Sample) -> None:
    if sample.name.endswith("_total"):
        counted.images[sample.labels["outcome"]] += int(sample.value)


def _take_stage(counted: Counted, sample: Sample) -> None:
    if sample.name.endswith("_bucket"):
        stage = STAGES.index(sample.labels["stage"])
        counted.stages[stage, _SECONDS[float(sample.labels["le"])]] += sample.value


def _take_batches(counted: Counted, sample: Sample) -> None:
    if sample.name.endswith("_bucket"):
        counted.batches[_IMAGES[float(sample.labels["le"])]] += sample.value


_TAKE: Mapping[str, Callable[[Counted, Sample], None]] = {
    "seethrough_requests": _take_call,
    "seethrough_images": _take_images,
    "seethrough_stage_seconds": _take_stage,
    "seethrough_batch_images": _take_batches,
}
