"""The batcher between the event loop and an engine that the test holds and releases."""

import asyncio
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import numpy as np
import pytest

from server.batching.batcher import Batcher
from server.batching.entries import Output
from server.batching.items import ImageItem, ImageResult
from server.engine.base import Array
from server.errors import DeadlineError, InternalError, UnavailableError
from tests.server.fakes import GatedEngine, ManualClock, image_batcher

ENOUGH = 1000

ImageBatcher = Batcher[ImageItem, ImageResult]
ImageOutput = Output[ImageResult]


@asynccontextmanager
async def batching(engine: GatedEngine, clock: ManualClock, most: int = 8) -> AsyncIterator[ImageBatcher]:
    batcher = image_batcher(engine, clock=clock, most=most)
    try:
        yield batcher
    finally:
        engine.release(ENOUGH)
        await batcher.close()


def submit(
    batcher: ImageBatcher, value: int, targets: tuple[int, ...] = (), deadline: float | None = None, method: int = 0
) -> asyncio.Task[ImageOutput]:
    return asyncio.ensure_future(
        batcher.submit(
            ImageItem(np.full((1, 2, 2, 1), value, np.uint8), np.array([targets], np.int64), method),
            deadline,
            lone=True,
        )
    )


async def queue_behind(engine: GatedEngine, batcher: ImageBatcher, count: int) -> tuple[asyncio.Task[ImageOutput], ...]:
    """Keeps the engine busy with one image, and `count` others waiting."""
    first = submit(batcher, 1)
    await engine.entered()
    waiting = [submit(batcher, 10 + number) for number in range(count)]
    await asyncio.sleep(0)
    return first, *waiting


def sizes(engine: GatedEngine) -> list[int]:
    return [len(batch["pixels"]) for batch in engine.batches]


async def test_a_lone_image_runs_at_once_and_alone() -> None:
    engine = GatedEngine()
    async with batching(engine, ManualClock()) as batcher:
        answer = submit(batcher, 255)
        await engine.entered()
        engine.release()
        assert (await answer).result.probabilities.tolist() == [[1.0, 0.0]]
    assert sizes(engine) == [1]


async def test_what_arrives_while_the_engine_runs_becomes_the_next_batch() -> None:
    engine = GatedEngine()
    async with batching(engine, ManualClock()) as batcher:
        answers = await queue_behind(engine, batcher, 5)
        engine.release(ENOUGH)
        outputs = await asyncio.gather(*answers)
    assert sizes(engine) == [1, 5]
    assert [output.batch_rows for output in outputs] == [1, 5, 5, 5, 5, 5]


async def test_every_caller_gets_the_answer_to_its_own_image() -> None:
    engine = GatedEngine()
    async with batching(engine, ManualClock(), most=3) as batcher:
        answers = await queue_behind(engine, batcher, 7)
        engine.release(ENOUGH)
        outputs = await asyncio.gather(*answers)
    assert [round(255 * float(output.result.probabilities[0, 0])) for output in outputs] == [
        1,
        10,
        11,
        12,
        13,
        14,
        15,
        16,
    ]


async def test_a_cancelled_caller_does_not_disturb_its_batch_mates() -> None:
    engine = GatedEngine()
    async with batching(engine, ManualClock()) as batcher:
        first, before, gone, after = await queue_behind(engine, batcher, 3)
        engine.release()
        await engine.entered()  # the batch of three is in the engine now
        gone.cancel()
        engine.release(ENOUGH)
        outputs = await asyncio.gather(first, before, after)
    assert [round(255 * float(output.result.probabilities[0, 0])) for output in outputs] == [1, 10, 12]


async def test_an_image_cancelled_in_the_queue_is_never_computed() -> None:
    engine = GatedEngine()
    async with batching(engine, ManualClock()) as batcher:
        first, gone, stays = await queue_behind(engine, batcher, 2)
        gone.cancel()
        await asyncio.sleep(0)
        engine.release(ENOUGH)
        await asyncio.gather(first, stays)
    assert sizes(engine) == [1, 1]
    assert engine.batches[1]["pixels"][0, 0, 0, 0] == 11


async def test_an_image_that_expires_in_the_queue_is_never_computed() -> None:
    engine, clock = GatedEngine(), ManualClock()
    async with batching(engine, clock) as batcher:
        (first,) = await queue_behind(engine, batcher, 0)
        late = submit(batcher, 20, deadline=clock.now + 1)
        await asyncio.sleep(0)
        clock.now += 2
        engine.release(ENOUGH)
        await first
        with pytest.raises(DeadlineError, match="deadline"):
            await late
    assert sizes(engine) == [1]


async def test_an_engine_that_fails_fails_its_batch_only() -> None:
    engine = GatedEngine()
    async with batching(engine, ManualClock()) as batcher:
        unlucky = submit(batcher, 1)
        await engine.entered()
        lucky = submit(batcher, 2)
        engine.fail_next(RuntimeError("out of memory at 0xdead"))
        engine.release(ENOUGH)
        with pytest.raises(InternalError) as raised:
            await unlucky
        assert "0xdead" not in str(raised.value)
        assert round(255 * float((await lucky).result.probabilities[0, 0])) == 2


async def test_a_batch_without_targets_asks_the_engine_for_no_heatmaps() -> None:
    engine = GatedEngine()
    async with batching(engine, ManualClock()) as batcher:
        answers = await queue_behind(engine, batcher, 1)
        engine.release(ENOUGH)
        outputs = await asyncio.gather(*answers)
    assert set(engine.batches[0]) == {"pixels"}
    assert len(outputs[0].result.heatmaps) == 0


async def test_each_image_gets_as_many_heatmaps_as_it_asked_for() -> None:
    engine = GatedEngine()
    async with batching(engine, ManualClock()) as batcher:
        (first,) = await queue_behind(engine, batcher, 0)
        answers = [submit(batcher, 2, (-1,)), submit(batcher, 3), submit(batcher, 4, (-1, 0, 1))]
        await asyncio.sleep(0)
        engine.release(ENOUGH)
        outputs = await asyncio.gather(*answers)
        await first
    assert [output.result.heatmaps.shape[1] for output in outputs] == [1, 0, 3]
    assert engine.batches[1]["targets"].tolist() == [[-1, -1, -1], [-1, -1, -1], [-1, 0, 1]]


async def test_batch_mates_may_be_explained_by_different_methods() -> None:
    engine = GatedEngine()
    async with batching(engine, ManualClock()) as batcher:
        (first,) = await queue_behind(engine, batcher, 0)
        answers = [submit(batcher, 2, (-1, 0), method=1), submit(batcher, 3, (-1,), method=2), submit(batcher, 4)]
        await asyncio.sleep(0)
        engine.release(ENOUGH)
        await asyncio.gather(first, *answers)
    assert engine.batches[1]["methods"].tolist() == [[1, 1], [2, 2], [0, 0]]


async def test_padding_rows_are_computed_but_never_answered() -> None:
    engine = GatedEngine(buckets=(1, 2, 4, 8))
    async with batching(engine, ManualClock()) as batcher:
        answers = await queue_behind(engine, batcher, 3)
        engine.release(ENOUGH)
        outputs = await asyncio.gather(*answers)
    assert sizes(engine) == [1, 4]
    assert [output.batch_rows for output in outputs[1:]] == [3, 3, 3]


async def test_closing_finishes_what_is_queued() -> None:
    engine = GatedEngine()
    async with batching(engine, ManualClock()) as batcher:
        answers = await queue_behind(engine, batcher, 4)
        engine.release(ENOUGH)
        await batcher.close()
        assert len(await asyncio.gather(*answers)) == 5


async def test_after_closing_a_caller_is_refused_instead_of_waiting_for_ever() -> None:
    async with batching(GatedEngine(), ManualClock()) as batcher:
        await batcher.close()
        with pytest.raises(UnavailableError):
            await submit(batcher, 1)


async def test_time_in_queue_and_in_engine_are_told_apart() -> None:
    engine, clock = GatedEngine(), ManualClock()
    async with batching(engine, clock) as batcher:
        (first,) = await queue_behind(engine, batcher, 0)
        second = submit(batcher, 2)
        await asyncio.sleep(0)
        clock.now += 3
        engine.release()
        await first
        await engine.entered()
        clock.now += 2
        engine.release(ENOUGH)
        output = await second
    assert (output.queue_seconds, output.infer_seconds) == (3.0, 2.0)


async def test_how_long_the_queue_takes_is_learnt_from_the_batches() -> None:
    engine, clock = GatedEngine(), ManualClock()
    async with batching(engine, clock) as batcher:
        (first,) = await queue_behind(engine, batcher, 0)
        assert batcher.wait_seconds == 0
        clock.now += 0.5
        engine.release()
        await first
        waiting = await queue_behind(engine, batcher, 1)
        assert batcher.wait_seconds == 2 * 0.5
        engine.release(ENOUGH)
        await asyncio.gather(*waiting)


class TimedEngine(GatedEngine):
    """Each run takes `seconds` of the manual clock, and is noted by its thread."""

    def __init__(self, clock: ManualClock, seconds: float, device: str = "cpu") -> None:
        super().__init__()
        self.device = device
        self.threads: list[int] = []
        self._clock = clock
        self._seconds = seconds

    def run(self, feeds: Mapping[str, Array], wanted: Sequence[str]) -> list[Array]:
        answers = super().run(feeds, wanted)
        self._clock.now += self._seconds
        self.threads.append(threading.get_ident())
        return answers


async def test_what_takes_no_time_is_computed_at_once_in_the_event_loop() -> None:
    clock = ManualClock()
    engine = TimedEngine(clock, 0.0001)
    async with batching(engine, clock) as batcher:
        engine.release(ENOUGH)
        for value in range(3):
            await submit(batcher, value)
    assert [thread == threading.get_ident() for thread in engine.threads] == [
        False,
        True,
        True,
    ]  # the first one is timed


@pytest.mark.parametrize(("device", "seconds"), [("cuda", 0.0001), ("cpu", 0.001)])
async def test_what_takes_time_or_a_gpu_is_computed_in_the_engines_thread(device: str, seconds: float) -> None:
    clock = ManualClock()
    engine = TimedEngine(clock, seconds, device)
    async with batching(engine, clock) as batcher:
        engine.release(ENOUGH)
        for value in range(3):
            await submit(batcher, value)
    assert threading.get_ident() not in engine.threads


async def test_nobody_is_computed_at_once_while_others_wait() -> None:
    clock = ManualClock()
    engine = TimedEngine(clock, 0.0001)
    async with batching(engine, clock) as batcher:
        engine.release()
        await submit(batcher, 1)
        many = ImageItem(
            np.zeros((8, 2, 2, 1), np.uint8), np.empty((8, 0), np.int64), 0
        )  # too much to hold up the loop
        first = asyncio.ensure_future(batcher.submit(many, None))
        await engine.entered()
        await engine.entered()
        second = submit(batcher, 2)
        await asyncio.sleep(0)
        assert batcher.queued == 1
        engine.release(ENOUGH)
        await asyncio.gather(first, second)
    assert sizes(engine) == [1, 8, 1]
    assert threading.get_ident() not in engine.threads
