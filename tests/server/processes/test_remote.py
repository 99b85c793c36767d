"""A serving process and the engine process in one event loop, over a real socket and real shared memory."""

import asyncio
import os
import secrets
import shutil
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from server.batching.entries import Output
from server.batching.items import ImageItem, ImageResult, TensorItem
from server.engine.base import Array
from server.errors import DeadlineError, InternalError, OverloadedError, UnavailableError
from server.events import Events
from server.processes import slab
from server.processes.engine import Engines, Session
from server.processes.remote import RemoteStore
from server.serving.models import ServedClassifier, ServedTensors
from server.serving.repository import Repository
from tests.bundles import make_bundle, make_tensor_bundle
from tests.contract.conftest import falsify_golden
from tests.server.fakes import GatedEngine, image_batcher
from tests.server.test_repository import settings

SLOTS = 4
SIDE = 4  # the convolution makes a map of 2x2 of it, as the gated engine's is


@dataclass
class Pair:
    """Both sides."""

    repository: Repository
    store: RemoteStore
    sessions: list[Session]
    memory: int

    def here(self, name: str = "m") -> ServedClassifier:
        """The model as the serving process sees it."""
        served = self.store.resolve(name, None)
        assert isinstance(served, ServedClassifier)
        return served

    def there(self, name: str = "m") -> ServedClassifier:
        """The model as the engine process has it."""
        served = self.repository.resolve(name, None)
        assert isinstance(served, ServedClassifier)
        return served


@asynccontextmanager
async def pair(models: Path) -> AsyncIterator[Pair]:
    """A serving process with `SLOTS` slots for each model, and the engine process of `models`."""
    address, memory, events = f"seethrough-test-{secrets.token_hex(8)}", slab.create("test"), Events()
    chosen = replace(settings(models), max_inflight_images=SLOTS)
    repository = Repository(chosen, events, time.monotonic)
    engines, sessions = Engines(repository, events), []

    def session() -> asyncio.Protocol:
        sessions.append(Session(engines, {"[1]": memory}))
        return sessions[-1].channel

    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"\0{address}")
    server = await asyncio.get_running_loop().create_unix_server(session, sock=listener)
    await repository.load_all()
    engines.complete()
    store = RemoteStore(chosen, Events(), "[1]", address, memory)
    await store.load_all()
    try:
        yield Pair(repository, store, sessions, memory)
    finally:
        await store.close()
        server.close()
        await repository.close()
        os.close(memory)


def gate(both: Pair) -> GatedEngine:
    """Puts an engine that the test holds under the model `m`; of its two outputs, the bundle has two labels."""
    before, engine = both.there(), GatedEngine()
    batcher = image_batcher(engine, clock=time.monotonic)
    both.repository.enter("m", 1, replace(before, engine=engine, batcher=batcher))
    return engine


@asynccontextmanager
async def gated(models: Path) -> AsyncIterator[tuple[Pair, GatedEngine]]:
    """A pair whose model `m` has an engine that the test holds."""
    make_bundle(models / "m/1", kind="binary", labels=("off", "on"), height=SIDE, width=SIDE)
    async with pair(models) as both:
        engine = gate(both)
        await both.store.load("m")
        try:
            yield both, engine
        finally:
            engine.release(1000)


def image(value: int = 0, *targets: int) -> ImageItem:
    return ImageItem(np.full((1, SIDE, SIDE, 3), value, np.uint8), np.array([targets], np.int64), 0)


def asking(both: Pair, item: ImageItem, deadline: float | None = None) -> "asyncio.Task[Output[ImageResult]]":
    return asyncio.create_task(both.here().batcher.submit(item, deadline))


async def test_answers_are_those_of_the_engine(tmp_path: Path) -> None:
    make_bundle(tmp_path / "m/1", seed=3)
    pixels = np.random.default_rng(0).integers(0, 256, (8, 12, 16, 3), np.uint8)
    async with pair(tmp_path) as both:
        for part in (pixels[:1], pixels[1:2], pixels[2:4], pixels[4:8]):
            item = ImageItem(part, np.full((len(part), 2), [-1, 0]), 0)
            here, there = [(await model.batcher.submit(item, None)).result for model in (both.here(), both.there())]
            np.testing.assert_array_equal(here.probabilities, there.probabilities)
            np.testing.assert_array_equal(here.heatmaps, there.heatmaps)
            assert (here.tops, here.confidences) == (there.tops, there.confidences)
        assert both.here().running == both.there().running


async def test_rows_of_a_model_without_images_travel_too(tmp_path: Path) -> None:
    make_tensor_bundle(tmp_path / "line/1", slope=2.0)
    async with pair(tmp_path) as both:
        model = both.store.resolve("line", None)
        assert isinstance(model, ServedTensors)
        rows: dict[str, Array] = {"x": np.array([[1, 2, 3]], np.float32), "offset": np.array([10], np.int64)}
        output = await model.batcher.submit(TensorItem(rows, ("line", "largest")), None)
    np.testing.assert_array_equal(output.result["line"], [[12, 14, 16]])
    np.testing.assert_array_equal(output.result["largest"], [16])


async def test_images_of_several_callers_meet_in_one_batch_and_get_their_own_answers(tmp_path: Path) -> None:
    async with gated(tmp_path) as (both, engine):
        first = asking(both, image(0))
        await engine.entered()
        others = [asking(both, image(value, -1)) for value in (51, 102, 255)]
        await both.store.load("m")  # returns when the engine process has seen what came before
        engine.release(2)
        assert (await first).batch_rows == 1
        outputs = await asyncio.gather(*others)
    assert {output.batch_rows for output in outputs} == {3}
    assert [round(float(output.result.probabilities[0, 0]), 2) for output in outputs] == [0.2, 0.4, 1.0]
    assert all(output.result.heatmaps.shape[1] == 1 for output in outputs)


async def test_a_cancelled_caller_is_never_computed_and_gives_its_slot_back(tmp_path: Path) -> None:
    async with gated(tmp_path) as (both, engine):
        running = asking(both, image(0))
        await engine.entered()
        for value in (10, 20):
            waiting = [asking(both, image(value)) for _ in range(SLOTS - 1)]
            await both.store.load("m")
            for each in waiting:
                each.cancel()
            await asyncio.wait(waiting)
            await both.store.load("m")
        last = asking(both, image(30))
        engine.release(2)
        await asyncio.gather(running, last)
    assert [len(batch["pixels"]) for batch in engine.batches] == [1, 1]
    assert engine.batches[1]["pixels"].max() == 30


async def test_a_deadline_passes_in_the_queue_of_the_engine_process(tmp_path: Path) -> None:
    async with gated(tmp_path) as (both, engine):
        running = asking(both, image(0))
        await engine.entered()
        late = asking(both, image(1), time.monotonic())
        await both.store.load("m")
        engine.release()
        with pytest.raises(DeadlineError):
            await late
        await running
    assert len(engine.batches) == 1


async def test_more_images_than_slots_are_refused(tmp_path: Path) -> None:
    async with gated(tmp_path) as (both, engine):
        asked = [asking(both, image(0)) for _ in range(SLOTS + 1)]
        done, _ = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        with pytest.raises(OverloadedError):
            await done.pop()
        engine.release(1000)
        await asyncio.gather(*(each for each in asked if not each.done()))


async def test_an_engine_that_fails_is_an_internal_error(tmp_path: Path) -> None:
    async with gated(tmp_path) as (both, engine):
        engine.fail_next(RuntimeError("device lost"))
        engine.release()
        with pytest.raises(InternalError):
            await asking(both, image(0))


async def test_the_end_of_the_engine_process_fails_what_it_had_and_the_next_one_serves_again(tmp_path: Path) -> None:
    async with gated(tmp_path) as (both, engine):
        pending = asking(both, image(0))
        await engine.entered()
        both.sessions[-1].channel.close()
        with pytest.raises(UnavailableError, match="engine process"):
            await pending
        with pytest.raises(UnavailableError, match="started again"):
            both.here()
        async with asyncio.timeout(10):
            while not both.store.is_serving("m"):  # noqa: ASYNC110  it connects by itself
                await asyncio.sleep(0.001)
        engine.release(1000)
        assert (await asking(both, image(255))).result.probabilities[0, 0] == 1.0


async def test_a_model_that_is_unloaded_and_loaded_again_uses_the_same_memory(tmp_path: Path) -> None:
    make_bundle(tmp_path / "m/1", height=SIDE, width=SIDE)
    async with pair(tmp_path) as both:
        for _ in range(3):
            await both.repository.unload("m")
            await both.store.unload("m")
            with pytest.raises(UnavailableError, match="unloaded on request"):
                both.here()
            await both.repository.load("m")
            await both.store.load("m")
            await asking(both, image(0))
        assert os.fstat(both.memory).st_size == slab.size_bytes(both.here().manifest, SLOTS)


async def test_what_versions_are_called_and_why_a_newer_bundle_was_refused_is_the_same_in_both(tmp_path: Path) -> None:
    make_bundle(tmp_path / "m/1")
    make_bundle(tmp_path / "m/2")
    (tmp_path / "m/versions.toml").write_text("[labels]\nstable = 1\n[shadow]\nversion = 2\nshare = 0.5\n")
    async with pair(tmp_path) as both:
        assert (both.store.resolve("m", None).version, both.store.resolve("m", "stable").version) == (1, 1)
        assert both.store.shadow("m") == both.repository.shadow("m")
        (tmp_path / "m/versions.toml").write_text("[labels]\nstable = 2\n")
        shutil.rmtree(tmp_path / "m/1")
        falsify_golden(make_bundle(tmp_path / "m/1", seed=1))
        await both.repository.load("m")
        await both.store.load("m")
        assert both.store.resolve("m", None).version == 2
        assert both.store.shadow("m") is None
        assert [each.reason for each in both.store.statuses()] == [each.reason for each in both.repository.statuses()]
        assert "golden check" in both.store.status("m", 1).reason


async def test_a_model_that_a_serving_process_has_found_answers_it_though_another_has_come(tmp_path: Path) -> None:
    make_bundle(tmp_path / "m/1", height=SIDE, width=SIDE, seed=1)
    async with pair(tmp_path) as both:
        found, owned = both.here(), both.there()
        with found.users:  # its picture is being decoded
            shutil.rmtree(tmp_path / "m/1")
            make_bundle(tmp_path / "m/1", height=SIDE, width=SIDE, seed=2)
            await both.repository.load("m")
            await both.store.load("m")
            late = (await found.batcher.submit(image(9), None)).result.probabilities
            after = (await both.here().batcher.submit(image(9), None)).result.probabilities
        assert both.there() is not owned
        assert not np.allclose(late, after)
        await owned.users.gone()
