"""Models coming and going at run time."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from server.batching.items import ImageItem
from server.config import MIB, Device, EngineName, PrecisionName, Settings
from server.errors import ModelNotFoundError, UnavailableError
from server.events import Events, ModelState
from server.serving.models import ServedClassifier
from server.serving.repository import Repository
from tests.bundles import make_bundle
from tests.contract.conftest import flip_a_byte
from tests.server.fakes import ManualClock


def settings(models: Path) -> Settings:
    return Settings(
        models=models,
        model_name="",
        host="127.0.0.1",
        grpc_port=0,
        http_port=0,
        device=Device.CPU,
        engine=EngineName.ONNXRUNTIME,
        precision=PrecisionName.AUTO,
        threads=1,
        decode_threads=1,
        max_batch=8,
        max_inflight_images=8,
        max_inflight_bytes=MIB,
        max_request_bytes=MIB,
        max_image_pixels=1000,
        grace_seconds=0,
        drain_seconds=0,
    )


@asynccontextmanager
async def repository(models: Path) -> AsyncIterator[Repository]:
    loaded = Repository(settings(models), Events(), ManualClock())
    await loaded.load_all()
    try:
        yield loaded
    finally:
        await loaded.close()


def states(loaded: Repository) -> dict[tuple[str, int], ModelState]:
    return {(status.name, status.version): status.state for status in loaded.statuses()}


async def test_a_model_that_came_after_the_start_is_served_when_it_is_loaded(tmp_path: Path) -> None:
    async with repository(tmp_path) as loaded:
        with pytest.raises(ModelNotFoundError):
            loaded.resolve("new", None)
        make_bundle(tmp_path / "new/1")
        await loaded.load("new")
        assert loaded.resolve("new", None).version == 1


async def test_loading_again_brings_the_new_version_and_takes_out_the_one_that_is_gone(tmp_path: Path) -> None:
    make_bundle(tmp_path / "m/1")
    async with repository(tmp_path) as loaded:
        make_bundle(tmp_path / "m/2", seed=2)
        shutil.rmtree(tmp_path / "m/1")
        await loaded.load("m")
        assert states(loaded) == {("m", 1): ModelState.UNLOADED, ("m", 2): ModelState.SERVING}


async def test_the_same_bundle_is_not_loaded_twice(tmp_path: Path) -> None:
    make_bundle(tmp_path / "m/1")
    async with repository(tmp_path) as loaded:
        before = loaded.resolve("m", 1)
        await loaded.load("m")
        assert loaded.resolve("m", 1) is before


async def test_another_bundle_in_the_same_place_replaces_it(tmp_path: Path) -> None:
    make_bundle(tmp_path / "m/1", labels=("a", "b", "c"))
    async with repository(tmp_path) as loaded:
        shutil.rmtree(tmp_path / "m/1")
        make_bundle(tmp_path / "m/1", labels=("d", "e", "f"))
        await loaded.load("m")
        served = loaded.resolve("m", 1)
        assert isinstance(served, ServedClassifier)
        assert served.manifest.labels == ["d", "e", "f"]


async def test_a_damaged_bundle_in_the_same_place_leaves_the_old_one_in_service(tmp_path: Path) -> None:
    make_bundle(tmp_path / "m/1")
    async with repository(tmp_path) as loaded:
        before = loaded.resolve("m", 1)
        shutil.rmtree(tmp_path / "m/1")
        flip_a_byte(make_bundle(tmp_path / "m/1", seed=5) / "weights.bin")
        await loaded.load("m")
        assert loaded.resolve("m", 1) is before


async def test_a_model_of_which_nothing_can_be_loaded_is_an_error_with_the_reason(tmp_path: Path) -> None:
    async with repository(tmp_path) as loaded:
        flip_a_byte(make_bundle(tmp_path / "m/1") / "weights.bin")
        with pytest.raises(UnavailableError, match="changed since export"):
            await loaded.load("m")
        assert states(loaded) == {("m", 1): ModelState.REFUSED}


async def test_an_unloaded_model_is_not_served_until_it_is_loaded_again(tmp_path: Path) -> None:
    make_bundle(tmp_path / "m/1")
    async with repository(tmp_path) as loaded:
        await loaded.unload("m")
        with pytest.raises(UnavailableError, match="unloaded on request"):
            loaded.resolve("m", None)
        await loaded.load("m")
        assert loaded.is_serving("m")


async def test_unloading_finishes_what_the_model_has(tmp_path: Path) -> None:
    make_bundle(tmp_path / "m/1")
    async with repository(tmp_path) as loaded:
        served = loaded.resolve("m", 1)
        assert isinstance(served, ServedClassifier)
        image = ImageItem(np.zeros((12, 16, 3), np.uint8)[np.newaxis], np.empty((1, 0), np.int64), 0)
        answers = [asyncio.ensure_future(served.batcher.submit(image, None)) for _ in range(5)]
        await asyncio.sleep(0)
        await loaded.unload("m")
        assert len(await asyncio.gather(*answers)) == 5


@pytest.mark.parametrize("name", ["none", "../m", "m/1", ""])
async def test_only_models_below_the_folder_can_be_loaded_or_unloaded(tmp_path: Path, name: str) -> None:
    make_bundle(tmp_path / "models/n/1")
    make_bundle(tmp_path / "m/1")
    async with repository(tmp_path / "models") as loaded:
        with pytest.raises(ModelNotFoundError):
            await loaded.load(name)
        with pytest.raises(ModelNotFoundError):
            await loaded.unload(name)
