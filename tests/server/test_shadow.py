"""A version in the shadow of another: compared, counted, and in nobody's way."""

import asyncio
import io
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from bundle import preprocess
from bundle.limits import Limits
from server.batching.items import ImageItem
from server.events import BatchDone, Events, ImagesAnswered, ShadowRan
from server.serving.models import ServedClassifier
from server.serving.observers import Observed, Observer
from server.serving.repository import Repository
from server.serving.shadow import IncomparableError, Shadows, aligned
from server.serving.workers import Workers
from tests.bundles import make_bundle
from tests.server.fakes import GatedEngine, ManualClock, image_batcher
from tests.server.gated import metered
from tests.server.test_repository import settings
from tests.server.test_repository_labels import call

EVERYTHING = "[shadow]\nversion = 2\nof = 1\nshare = 1.0\n"
LIMITS = Limits(pixels=10_000)


@dataclass
class Scene:
    """A model `m` with shadows, and what is told of them."""

    models: Repository
    observers: list[Observer]
    told: "asyncio.Queue[ShadowRan]" = field(default_factory=asyncio.Queue)
    held: list[GatedEngine] = field(default_factory=list)

    def served(self, version: int) -> ServedClassifier:
        found = self.models.resolve("m", version)
        assert isinstance(found, ServedClassifier)
        return found

    async def answered(self, version: int, pixels: NDArray[np.uint8], encoded: bytes | None = None) -> Observed:
        """Has a version compute pictures, and the observers see it."""
        model = self.served(version)
        item = ImageItem(pixels, np.empty((len(pixels), 0), np.int64), 0)
        probabilities = (await model.batcher.submit(item, None)).result.probabilities
        seen = Observed("", model, pixels, encoded, probabilities)
        for observer in self.observers:
            observer(seen)
        return seen

    async def next(self) -> ShadowRan:
        return await asyncio.wait_for(self.told.get(), 10)

    def hold(self, version: int) -> GatedEngine:
        """Puts an engine that the test holds under a version."""
        engine = GatedEngine()
        self.held.append(engine)
        batcher = image_batcher(engine, clock=ManualClock())
        self.models.enter("m", version, replace(self.served(version), engine=engine, batcher=batcher))
        return engine


@asynccontextmanager
async def scene(
    models: Path, chance: Callable[[], float] = lambda: 0.0, events: Events | None = None
) -> AsyncIterator[Scene]:
    bus, observers = events or Events(), list[Observer]()
    made = Scene(Repository(settings(models), bus, ManualClock()), observers)
    bus.subscribe(ShadowRan, made.told.put_nowait)
    with closing(Workers(1, LIMITS, ManualClock())) as workers:
        shadows = Shadows(made.models, bus, observers, workers, ManualClock(), chance)
        await made.models.load_all()
        try:
            yield made
        finally:
            for engine in made.held:
                engine.release(1000)
            await shadows.close()
            await made.models.close()


def random_pixels(count: int, height: int = 12, width: int = 16) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (count, height, width, 3), np.uint8)


async def test_what_the_shadow_would_have_answered_is_compared_image_by_image(tmp_path: Path) -> None:
    make_bundle(tmp_path / "m/1", seed=1)
    make_bundle(tmp_path / "m/2", seed=2)
    call(tmp_path, EVERYTHING)
    events, metrics = metered()
    async with scene(tmp_path, events=events) as s:
        pixels = random_pixels(20)
        seen = await s.answered(1, pixels)
        ran = await s.next()
        others = [await s.answered(2, part) for part in np.split(pixels, 5)]
    other = np.concatenate([each.probabilities for each in others])
    assert (ran.model, ran.version, ran.of, ran.outcome, ran.images) == ("m", "2", "1", "compared", 20)
    np.testing.assert_allclose(ran.differences, np.abs(seen.probabilities - other).max(axis=1), atol=1e-5)
    disagreements = int((seen.probabilities.argmax(1) != other.argmax(1)).sum())
    assert 0 < ran.disagreements == disagreements
    page = metrics.page(0, ())[0].decode()
    assert 'seethrough_shadow_images_total{model="m",of="1",outcome="compared",version="2"} 20.0' in page
    assert f'seethrough_shadow_disagreement_total{{model="m",of="1",version="2"}} {disagreements}.0' in page
    assert 'seethrough_shadow_probability_difference_count{model="m",of="1",version="2"} 20.0' in page


async def test_runs_in_the_shadow_are_no_answers_of_that_version(tmp_path: Path) -> None:
    make_bundle(tmp_path / "m/1")
    make_bundle(tmp_path / "m/2")
    call(tmp_path, EVERYTHING)
    events, answers, runs = Events(), list[ImagesAnswered](), list[str]()
    events.subscribe(ImagesAnswered, answers.append)
    events.subscribe(BatchDone, lambda event: runs.append(event.version))
    async with scene(tmp_path, events=events) as s:
        await s.answered(1, random_pixels(1))
        ran = await s.next()
    assert (ran.disagreements, max(ran.differences)) == (0, 0.0)  # the same network
    assert (answers, runs) == ([], ["1", "2"])


async def test_only_the_share_is_taken_and_only_of_the_version_that_is_meant(tmp_path: Path) -> None:
    for version in (1, 2, 3):
        make_bundle(tmp_path / f"m/{version}")
    call(tmp_path, '[labels]\nstable = 1\ncanary = 2\n[shadow]\nversion = "canary"\nshare = 0.5\n')
    chances = iter([0.5, 0.49, 0.0, 0.0])
    async with scene(tmp_path, lambda: next(chances)) as s:
        await s.answered(1, random_pixels(1))  # 0.5: not taken
        await s.answered(1, random_pixels(2))
        await s.answered(2, random_pixels(3))
        await s.answered(3, random_pixels(4))
        assert (await s.next()).images == 2
        assert s.told.empty()


async def test_nobody_looks_on_while_no_model_has_a_shadow(tmp_path: Path) -> None:
    make_bundle(tmp_path / "m/1")
    make_bundle(tmp_path / "m/2")
    async with scene(tmp_path) as s:
        assert s.observers == []
        call(tmp_path, EVERYTHING)
        await s.models.load("m")
        assert len(s.observers) == 1
        call(tmp_path, "")
        await s.models.load("m")
        assert s.observers == []


async def test_what_a_slow_shadow_has_no_time_for_is_dropped_and_counted(tmp_path: Path) -> None:
    for version in (1, 2):
        make_bundle(tmp_path / f"m/{version}", kind="binary", labels=("off", "on"))
    call(tmp_path, EVERYTHING)
    async with scene(tmp_path) as s:
        engine = s.hold(2)
        await s.answered(1, random_pixels(1))
        await asyncio.wait_for(engine.entered(), 10)
        for _ in range(20):
            await s.answered(1, random_pixels(1))
        dropped = s.told.qsize()
        engine.release(1000)
        rest = [await s.next() for _ in range(21)]
    assert dropped == 12
    assert [ran.outcome for ran in rest] == ["dropped"] * 12 + ["compared"] * 9


@pytest.mark.parametrize("version", [1, 2])
async def test_while_real_pictures_wait_for_either_engine_the_shadow_does_not_run(tmp_path: Path, version: int) -> None:
    for number in (1, 2):
        make_bundle(tmp_path / f"m/{number}", kind="binary", labels=("off", "on"))
    call(tmp_path, EVERYTHING)
    async with scene(tmp_path) as s:
        seen = await s.answered(1, random_pixels(1))
        assert (await s.next()).outcome == "compared"
        engine = s.hold(version)
        held = s.served(version)
        item = ImageItem(random_pixels(1), np.empty((1, 0), np.int64), 0)
        real = [asyncio.ensure_future(held.batcher.submit(item, None))]
        await asyncio.wait_for(engine.entered(), 10)
        real += [asyncio.ensure_future(held.batcher.submit(item, None)) for _ in range(5)]
        await asyncio.sleep(0)
        s.observers[0](Observed("", s.served(1), seen.pixels, None, seen.probabilities))
        assert (await s.next()).outcome == "dropped"
        engine.release(1000)
        await asyncio.gather(*real)


async def test_a_shadow_that_takes_other_pixels_gets_them_from_the_picture_file(tmp_path: Path) -> None:
    make_bundle(tmp_path / "m/1", seed=1)
    make_bundle(tmp_path / "m/2", seed=2, height=20, width=10)
    call(tmp_path, EVERYTHING)
    buffer = io.BytesIO()
    Image.fromarray(random_pixels(1, 40, 30)[0]).save(buffer, "PNG")
    async with scene(tmp_path) as s:
        first, second = (
            preprocess.from_bytes(buffer.getvalue(), s.served(version).manifest.preprocess, LIMITS).pixels[np.newaxis]
            for version in (1, 2)
        )
        seen = await s.answered(1, first, buffer.getvalue())
        ran = await s.next()
        other = await s.answered(2, second)
    assert ran.differences == pytest.approx([np.abs(seen.probabilities - other.probabilities).max()], abs=1e-5)


@pytest.mark.parametrize(
    ("size", "labels", "reason"),
    [(20, ("circle", "square", "star"), "it takes pixels"), (12, ("circle", "square", "moon"), "moon, star")],
)
async def test_what_cannot_be_compared_is_counted_as_failed_and_told_once(
    tmp_path: Path, size: int, labels: tuple[str, ...], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    make_bundle(tmp_path / "m/1")
    make_bundle(tmp_path / "m/2", height=size, labels=labels)
    call(tmp_path, EVERYTHING)
    with caplog.at_level(logging.WARNING, "server.serving.shadow"):
        async with scene(tmp_path) as s:
            for _ in range(3):
                await s.answered(1, random_pixels(1))
                assert (await s.next()).outcome == "failed"
    assert len(caplog.records) == 1
    assert reason in caplog.text


def test_classes_are_compared_by_their_labels() -> None:
    probabilities = np.array([[0.1, 0.2, 0.7]], np.float32)
    np.testing.assert_array_equal(
        aligned(probabilities, ["a", "b", "c"], ["c", "a", "b"])[0], probabilities[0, [2, 0, 1]]
    )
    with pytest.raises(IncomparableError, match="its classes are others: c, d"):
        aligned(probabilities, ["a", "b", "c"], ["a", "b", "d"])
