"""What becomes of callers, and of the engine, when a run raises, hangs or does not fit into memory."""

import asyncio
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import numpy as np
import pytest

from server.batching.batcher import Batcher
from server.batching.entries import Output
from server.batching.items import ImageItem, ImageResult
from server.batching.lane import Fault
from server.batching.policy import Priority
from server.engine.base import Array, Engine, OutOfMemoryError, as_memory_error
from server.errors import InternalError, OverloadedError, UnavailableError
from tests.server.fakes import GatedEngine, Heard, ManualClock, image_batcher
from tests.server.gated import until

ImageBatcher = Batcher[ImageItem, ImageResult]


class SmallEngine(GatedEngine):
    """Has room for so many images at a time."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room
        self.release(1000)

    def run(self, feeds: Mapping[str, Array], wanted: Sequence[str]) -> list[Array]:
        answers = super().run(feeds, wanted)
        if len(feeds["pixels"]) > self.room:
            raise OutOfMemoryError("no room")
        return answers


class Factory:
    """Builds engines, or fails to; the last one not before the test opens the gate."""

    def __init__(self, *outcomes: Engine | Exception, is_open: bool = True) -> None:
        self._outcomes = list(outcomes)
        self.gate = threading.Event()
        if is_open:
            self.gate.set()

    def __call__(self) -> Engine:
        if len(self._outcomes) == 1:
            self.gate.wait()
        outcome = self._outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


@asynccontextmanager
async def closing(batcher: ImageBatcher, *engines: GatedEngine) -> AsyncIterator[ImageBatcher]:
    try:
        yield batcher
    finally:
        for engine in engines:
            engine.release(1000)
        await batcher.close()


def free_engine() -> GatedEngine:
    """An engine whose runs wait for nothing."""
    engine = GatedEngine()
    engine.release(1000)
    return engine


async def ask(batcher: ImageBatcher, rows: int = 1, priority: Priority = Priority.NORMAL) -> Output[ImageResult]:
    item = ImageItem(np.full((rows, 2, 2, 1), 255, np.uint8), np.empty((rows, 0), np.int64), 0)
    return await batcher.submit(item, None, priority=priority)


def failing_once(failure: Exception) -> GatedEngine:
    engine = free_engine()
    engine.fail_next(failure)
    return engine


async def test_an_engine_that_raised_is_replaced_before_the_next_batch() -> None:
    broken, fresh, heard = failing_once(RuntimeError("cuda error 700")), free_engine(), Heard()
    batcher = image_batcher(broken, clock=ManualClock(), rebuild=Factory(fresh), heard=heard)
    async with closing(batcher, broken, fresh):
        with pytest.raises(InternalError):
            await ask(batcher)
        await ask(batcher)
    assert (len(broken.batches), len(fresh.batches)) == (1, 1)
    assert heard.faults == [Fault.RAISED]
    assert heard.reasons == []


async def test_a_batch_that_does_not_fit_into_memory_is_halved_until_it_does() -> None:
    engine, heard = SmallEngine(room=2), Heard()
    gate = GatedEngine()
    batcher = image_batcher(gate, clock=ManualClock(), rebuild=Factory(engine), heard=heard)
    async with closing(batcher, gate):
        first = asyncio.ensure_future(ask(batcher))
        await gate.entered()
        others = [asyncio.ensure_future(ask(batcher)) for _ in range(7)]
        await asyncio.sleep(0)
        gate.fail_next(RuntimeError("to have it replaced"))
        gate.release()
        with pytest.raises(InternalError):
            await first
        outputs = await asyncio.gather(*others)
    assert [len(batch["pixels"]) for batch in engine.batches] == [7, 3, 1, 2, 4, 2, 2]
    assert {output.batch_rows for output in outputs} == {1, 2}


async def test_after_too_little_memory_batches_stay_smaller() -> None:
    engine = SmallEngine(room=2)
    gate = GatedEngine()
    batcher = image_batcher(engine, clock=ManualClock())
    async with closing(batcher, gate):
        with pytest.raises(OverloadedError, match="too little memory"):
            await ask(batcher, rows=4)
        engine.batches.clear()
        await asyncio.gather(*(ask(batcher) for _ in range(6)))
    assert max(len(batch["pixels"]) for batch in engine.batches) <= 2


async def test_a_request_too_large_for_the_memory_is_told_so() -> None:
    engine = SmallEngine(room=2)
    async with closing(image_batcher(engine, clock=ManualClock()), engine) as batcher:
        with pytest.raises(OverloadedError, match="fewer images"):
            await ask(batcher, rows=3)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("BFCArena::AllocateRawInternal Failed to allocate memory for requested buffer of size 205520896"),
        RuntimeError("CUDA failure 2: out of memory"),
        RuntimeError("std::bad_alloc"),
    ],
)
def test_what_the_libraries_say_when_memory_is_short_is_understood(error: Exception) -> None:
    assert isinstance(as_memory_error(error), OutOfMemoryError)


def test_other_failures_of_the_libraries_stay_what_they_are() -> None:
    error = RuntimeError("CUDA error 700: an illegal memory access was encountered")
    assert as_memory_error(error) is error


async def test_a_run_that_does_not_end_is_given_up_and_others_go_on() -> None:
    hung, fresh, heard = GatedEngine(), free_engine(), Heard()
    batcher = image_batcher(hung, clock=ManualClock(), rebuild=Factory(fresh), heard=heard, run_seconds=0.4)
    async with closing(batcher, hung, fresh):
        with pytest.raises(InternalError, match=r"within 0\.4 s"):
            await ask(batcher)
        await ask(batcher)
    assert heard.faults == [Fault.HUNG]


async def test_closing_does_not_wait_for_a_run_that_does_not_end() -> None:
    hung = GatedEngine()
    batcher = image_batcher(hung, clock=ManualClock(), run_seconds=0.4)
    caller = asyncio.ensure_future(ask(batcher))
    await hung.entered()
    await batcher.close()
    with pytest.raises(InternalError):
        await caller
    hung.release()


async def test_after_three_faults_in_a_row_callers_are_refused_until_an_engine_works() -> None:
    engines = [failing_once(RuntimeError(str(number))) for number in range(3)]
    healed, heard = free_engine(), Heard()
    factory = Factory(*engines[1:], healed, is_open=False)
    batcher = image_batcher(engines[0], clock=ManualClock(), rebuild=factory, heard=heard)
    async with closing(batcher, *engines, healed):
        for _ in engines:
            with pytest.raises(InternalError):
                await ask(batcher)
        await until(lambda: bool(heard.reasons))
        with pytest.raises(UnavailableError, match="3 times in a row"):
            await ask(batcher)
        factory.gate.set()
        await until(lambda: heard.reasons[-1] == "")
        await ask(batcher)
    assert len(heard.reasons) == 2


async def test_those_who_wait_when_the_engine_is_given_up_are_told_at_once() -> None:
    engine, heard = GatedEngine(), Heard()
    factory = Factory(RuntimeError("no GPU"), RuntimeError("no GPU"), engine)
    batcher = image_batcher(engine, clock=ManualClock(), rebuild=factory, heard=heard)
    async with closing(batcher, engine):
        first = asyncio.ensure_future(ask(batcher))
        await engine.entered()
        waiting = asyncio.ensure_future(ask(batcher))
        await asyncio.sleep(0)
        engine.fail_next(RuntimeError("the GPU has fallen off the bus"))
        engine.release(1000)
        with pytest.raises(InternalError):
            await first
        with pytest.raises(UnavailableError):
            await waiting
    assert heard.faults == [Fault.RAISED, Fault.REBUILD, Fault.REBUILD]


async def test_an_idle_engine_is_asked_whether_it_still_answers() -> None:
    engine = free_engine()
    async with closing(image_batcher(engine, clock=ManualClock(), run_seconds=0.2), engine):
        await until(lambda: bool(engine.batches))


async def test_an_idle_engine_that_hangs_is_found_out_before_a_caller_comes() -> None:
    hung, fresh, heard = GatedEngine(), free_engine(), Heard()
    batcher = image_batcher(hung, clock=ManualClock(), rebuild=Factory(fresh), heard=heard, run_seconds=0.2)
    async with closing(batcher, hung, fresh):
        await until(lambda: heard.faults == [Fault.HUNG])


async def test_two_engines_run_beside_each_other() -> None:
    engines = GatedEngine(), GatedEngine()
    async with closing(image_batcher(*engines, clock=ManualClock()), *engines) as batcher:
        callers = []
        for _ in engines:
            callers.append(asyncio.ensure_future(ask(batcher)))
            await until(lambda: sum(len(engine.batches) for engine in engines) == len(callers))
        assert [len(engine.batches) for engine in engines] == [1, 1]
        for engine in engines:
            engine.release(1000)
        await asyncio.gather(*callers)


async def test_the_urgent_overtake_those_who_wait() -> None:
    engine, clock = GatedEngine(), ManualClock()
    async with closing(image_batcher(engine, clock=clock, most=1), engine) as batcher:
        order: list[str] = []

        async def caller(name: str, priority: Priority) -> None:
            await ask(batcher, priority=priority)
            order.append(name)

        first = asyncio.ensure_future(caller("first", Priority.NORMAL))
        await engine.entered()
        rest = [
            asyncio.ensure_future(caller(priority, priority))
            for priority in (Priority.LOW, Priority.NORMAL, Priority.HIGH)
        ]
        await asyncio.sleep(0)
        engine.release(1000)
        await asyncio.gather(first, *rest)
    assert order == ["first", "high", "normal", "low"]


async def test_nobody_is_overtaken_for_ever() -> None:
    engine, clock = GatedEngine(), ManualClock()
    async with closing(image_batcher(engine, clock=clock, most=1), engine) as batcher:
        first = asyncio.ensure_future(ask(batcher))
        await engine.entered()
        patient = asyncio.ensure_future(ask(batcher, priority=Priority.LOW))
        await asyncio.sleep(0)
        clock.now += 21
        urgent = asyncio.ensure_future(ask(batcher, priority=Priority.HIGH))
        await asyncio.sleep(0)
        engine.release(2)
        await asyncio.gather(first, patient)
        assert not urgent.done()
        engine.release(1000)
        await urgent


async def test_the_wait_is_what_the_engine_needs_for_those_before() -> None:
    engine, clock = GatedEngine(), ManualClock()
    async with closing(image_batcher(engine, clock=clock), engine) as batcher:
        assert batcher.wait_seconds == 0
        first = asyncio.ensure_future(ask(batcher))
        await engine.entered()
        clock.now += 0.5
        engine.release()
        await first
        busy = asyncio.ensure_future(ask(batcher))
        await engine.entered()
        more = asyncio.ensure_future(ask(batcher, rows=2))
        await asyncio.sleep(0)
        assert batcher.wait_seconds == 1.5
        engine.release(1000)
        await asyncio.gather(busy, more)
        assert batcher.wait_seconds == 0
