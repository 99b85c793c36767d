"""The last minutes: what lies between two notes, and what is forgotten."""

import math

import numpy as np
import pytest

from server import metrics_pages
from server.events import BatchDone, Events, ImagesAnswered, ImagesFailed, RequestDone, Timings
from server.history import KEPT_SECONDS, STEP_SECONDS, History, Reading, Window, of_families, of_tally, quantile
from server.metrics import Metrics
from server.tally import SECONDS, Tally


class Told:
    """A server's metrics, and a clock that a test turns; `several` as where there are several processes."""

    def __init__(self, *, several: bool = False) -> None:
        self.now = 1000.0
        self.events = Events()
        self._tally = Tally()
        self._tally.subscribe(self.events)
        self._metrics = Metrics(self._tally, self.events)
        self._several = several
        self.history = History(self._read, unix_time=lambda: self.now)

    async def _read(self) -> Reading:
        if self._several:
            return of_families(metrics_pages.plain(self._metrics.families(3, [])))
        return of_tally(self._tally, 3)

    def answer(self, model: str, seconds: float, images: int = 1) -> None:
        """A call whose images took so long in every stage."""
        timings = Timings(*(seconds,) * 5, images)
        self.events.emit(ImagesAnswered(model, "1", timings, ["cat"] * images, [0.9] * images))
        self.events.emit(RequestDone(model, "1", "Classify", "OK"))
        self.events.emit(BatchDone(model, "1", images, seconds))

    async def note(self) -> None:
        """A step later."""
        self.now += STEP_SECONDS
        await self.history.note()

    def window(self, seconds: float = 60, model: str = "", version: str = "") -> Window:
        return self.history.window(seconds, model, version)


async def test_before_there_are_two_notes_there_is_no_point() -> None:
    told = Told()
    assert told.window().times.tolist() == []
    await told.note()
    assert (told.window().times.tolist(), told.window().stages.shape[0]) == ([], 0)


@pytest.mark.parametrize("several", [False, True])
async def test_a_point_has_what_happened_since_the_note_before(several: bool) -> None:
    told = Told(several=several)
    told.answer("cats", 0.002)
    await told.note()
    told.answer("cats", 0.002, images=3)
    told.events.emit(RequestDone("cats", "1", "Classify", "RESOURCE_EXHAUSTED"))
    told.events.emit(ImagesFailed("cats", "1", "shed", 2))
    await told.note()
    await told.note()
    window = told.window()
    assert window.seconds.tolist() == [STEP_SECONDS, STEP_SECONDS]
    assert {code: counts.tolist() for code, counts in window.calls.items()} == {
        "OK": [1, 0],
        "RESOURCE_EXHAUSTED": [1, 0],
    }
    assert {outcome: counts.tolist() for outcome, counts in window.images.items()} == {"ok": [3, 0], "shed": [2, 0]}
    assert window.stages[:, 0, -1].tolist() == [3, 0]
    assert window.batches[:, -1].tolist() == [1, 0]
    assert window.inflight.tolist() == [3, 3]


async def test_looking_about_is_no_work() -> None:
    told = Told()
    await told.note()
    told.events.emit(RequestDone("", "", "ListModels", "OK"))
    await told.note()
    assert told.window().calls == {}


async def test_one_model_can_be_looked_at_alone() -> None:
    told = Told()
    await told.note()
    told.answer("cats", 0.1)
    told.answer("dogs", 0.1)
    told.answer("dogs", 0.1)
    await told.note()
    assert told.window().calls["OK"].tolist() == [3]
    assert told.window(model="dogs", version="1").calls["OK"].tolist() == [2]
    assert told.window(model="dogs", version="2").calls == {}


async def test_what_is_too_old_is_forgotten() -> None:
    told = Told()
    for _ in range(int(KEPT_SECONDS / STEP_SECONDS) + 50):
        await told.note()
    assert told.window(10 * KEPT_SECONDS).seconds.sum() == KEPT_SECONDS
    assert told.window(60).seconds.sum() == 60


async def test_quantiles_are_interpolated_within_their_bucket() -> None:
    told = Told()
    await told.note()
    told.answer("cats", 0.04, images=10)  # between 25 and 50 ms
    await told.note()
    total = told.window().stages[0, 4]
    assert float(quantile(total, 0.5)) == pytest.approx(0.025 + 0.5 * 0.025)
    assert float(quantile(total, 0.99)) == pytest.approx(0.025 + 0.99 * 0.025)


def test_the_quantile_of_nothing_is_no_number_and_none_is_above_the_highest_bound() -> None:
    empty = np.zeros(len(SECONDS) + 1)
    assert math.isnan(float(quantile(empty, 0.5)))
    beyond = np.array([0.0] * len(SECONDS) + [7.0])
    assert float(quantile(beyond, 0.5)) == SECONDS[-1]
