"""What is in service follows the folder of models."""

import asyncio
import gc
import logging
import shutil
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bundle import manifest
from bundle.files import MANIFEST_SUM
from server.batching.items import ImageItem
from server.config import Reload
from server.errors import ModelNotFoundError, UnavailableError
from server.events import BundleTried, Events, ModelForgotten, ModelState
from server.serving.models import ServedClassifier, ServedModel
from server.serving.repository import Repository
from server.serving.watch import PATIENCE
from tests.bundles import make_bundle
from tests.contract.conftest import falsify_golden, flip_a_byte
from tests.server.fakes import ManualClock
from tests.server.test_repository import settings, states

# So far away that only the tests look at the folder.
NEVER = 1e6

SERVING, LOADING, REFUSED, UNLOADED = (
    ModelState.SERVING,
    ModelState.LOADING,
    ModelState.REFUSED,
    ModelState.UNLOADED,
)


@asynccontextmanager
async def watching(models: Path, keep_versions: int = 0, events: Events | None = None) -> AsyncIterator[Repository]:
    """A repository that has loaded what is there; the test says when it looks again."""
    chosen = replace(settings(models), reload=Reload(NEVER, keep_versions))
    loaded = Repository(chosen, events or Events(), ManualClock())
    await loaded.load_all()
    try:
        yield loaded
    finally:
        await loaded.close()


async def look(loaded: Repository, times: int = 2) -> None:
    """By default often enough for what is whole to be loaded."""
    for _ in range(times):
        await loaded.follow()


def copy_in_part(source: Path, target: Path, *missing: str) -> None:
    """What a copy that has not come to its end has written of a bundle."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns(*missing), dirs_exist_ok=True)


def version_of(loaded: Repository, name: str = "m") -> int:
    """Of the one that answers by default."""
    return loaded.resolve(name, None).version


async def test_a_new_version_and_a_new_model_are_loaded_beside_what_is_there(tmp_path: Path) -> None:
    make_bundle(tmp_path / "m/1")
    async with watching(tmp_path) as loaded:
        make_bundle(tmp_path / "m/2")
        make_bundle(tmp_path / "n/1")
        await look(loaded)
        assert states(loaded) == {("m", 1): SERVING, ("m", 2): SERVING, ("n", 1): SERVING}
        assert version_of(loaded) == 2


async def test_another_bundle_in_the_same_place_replaces_the_one_in_service(tmp_path: Path) -> None:
    make_bundle(tmp_path / "m/1")
    async with watching(tmp_path) as loaded:
        before = loaded.resolve("m", 1)
        shutil.rmtree(tmp_path / "m/1")
        make_bundle(tmp_path / "m/1", seed=1)
        await look(loaded)
        assert loaded.resolve("m", 1) is not before
        assert loaded.statuses()[0].reason == ""


async def test_a_link_that_changes_its_target_is_a_change(tmp_path: Path) -> None:
    """As Kubernetes changes the volume of a ConfigMap, and git-sync a checkout."""
    for number in (1, 2):
        make_bundle(tmp_path / f"..data{number}/m/{number}")
    models = tmp_path / "models"
    models.symlink_to("..data1")
    async with watching(models) as loaded:
        (tmp_path / "new").symlink_to("..data2")
        (tmp_path / "new").rename(models)
        await look(loaded)
        assert states(loaded) == {("m", 1): SERVING, ("m", 2): SERVING}
        await look(loaded, PATIENCE)
        assert states(loaded) == {("m", 1): UNLOADED, ("m", 2): SERVING}


@pytest.mark.parametrize("missing", [MANIFEST_SUM, manifest.WEIGHTS, manifest.GOLDEN])
async def test_a_copy_is_not_loaded_before_it_is_whole_and_not_refused_meanwhile(tmp_path: Path, missing: str) -> None:
    make_bundle(tmp_path / "m/1")
    whole = make_bundle(tmp_path / ".ready/2")
    async with watching(tmp_path) as loaded:
        copy_in_part(whole, tmp_path / "m/2", missing)
        await look(loaded, PATIENCE)
        assert states(loaded) == {("m", 1): SERVING, ("m", 2): LOADING}
        assert version_of(loaded) == 1
        with pytest.raises(UnavailableError, match="waiting until all its files are there"):
            loaded.resolve("m", 2)
        shutil.copy(whole / missing, tmp_path / "m/2")
        await look(loaded)
        assert version_of(loaded) == 2


async def test_a_copy_over_the_one_in_service_leaves_it_there_until_it_is_whole(tmp_path: Path) -> None:
    make_bundle(tmp_path / "m/1")
    whole = make_bundle(tmp_path / ".ready/1", seed=1)
    async with watching(tmp_path) as loaded:
        before = loaded.resolve("m", 1)
        shutil.rmtree(tmp_path / "m/1")
        copy_in_part(whole, tmp_path / "m/1", MANIFEST_SUM)
        await look(loaded, 2 * PATIENCE)
        assert loaded.resolve("m", 1) is before
        shutil.copy(whole / MANIFEST_SUM, tmp_path / "m/1")
        await look(loaded)
        assert loaded.resolve("m", 1) is not before


async def test_a_bundle_whose_files_are_damaged_is_refused_when_nothing_changes_any_more(tmp_path: Path) -> None:
    make_bundle(tmp_path / "m/1")
    async with watching(tmp_path) as loaded:
        flip_a_byte(make_bundle(tmp_path / "m/2") / manifest.WEIGHTS)
        await look(loaded, PATIENCE)
        assert states(loaded)["m", 2] is LOADING
        await look(loaded, 1)
        assert states(loaded) == {("m", 1): SERVING, ("m", 2): REFUSED}
        assert "weights.bin: changed since export" in loaded.status("m", 2).reason


async def test_a_bundle_that_was_refused_is_tried_once_and_again_when_it_changes(tmp_path: Path) -> None:
    events, tried = Events(), list[str]()
    events.subscribe(BundleTried, lambda event: tried.append(event.outcome))
    make_bundle(tmp_path / "m/1")
    async with watching(tmp_path, events=events) as loaded:
        falsify_golden(make_bundle(tmp_path / "m/2"))
        await look(loaded, 2 * PATIENCE)
        assert tried == ["serving", "refused"]
        shutil.rmtree(tmp_path / "m/2")
        make_bundle(tmp_path / "m/2")
        await look(loaded)
        assert tried == ["serving", "refused", "serving"]


def damaged(folder: Path) -> None:
    flip_a_byte(folder / manifest.WEIGHTS)


@pytest.mark.parametrize("spoil", [falsify_golden, damaged])
async def test_a_bad_bundle_leaves_the_old_one_of_its_number_in_service_and_tells_why(
    tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    make_bundle(tmp_path / "m/1")
    good = make_bundle(tmp_path / ".ready/1")
    async with watching(tmp_path) as loaded:
        before = loaded.resolve("m", 1)
        shutil.rmtree(tmp_path / "m/1")
        spoil(make_bundle(tmp_path / "m/1", seed=7))
        await look(loaded, PATIENCE + 1)
        assert loaded.resolve("m", 1) is before
        status = loaded.status("m", 1)
        assert status.state is SERVING
        assert status.reason
        shutil.rmtree(tmp_path / "m/1")
        shutil.copytree(good, tmp_path / "m/1")
        await look(loaded)
        assert loaded.resolve("m", 1) is before
        assert loaded.status("m", 1).reason == ""


async def test_a_version_whose_folder_stays_away_is_retired(tmp_path: Path) -> None:
    make_bundle(tmp_path / "m/1")
    make_bundle(tmp_path / "m/2")
    async with watching(tmp_path) as loaded:
        shutil.rmtree(tmp_path / "m/2")
        await look(loaded, PATIENCE)
        assert version_of(loaded) == 2
        await look(loaded, 1)
        assert version_of(loaded) == 1
        assert states(loaded)["m", 2] is UNLOADED


async def test_of_the_versions_that_are_gone_the_last_ten_are_told_of(tmp_path: Path) -> None:
    events = Events()
    forgotten: list[ModelForgotten] = []
    events.subscribe(ModelForgotten, forgotten.append)
    for version in range(1, 14):
        make_bundle(tmp_path / f"m/{version}")
    async with watching(tmp_path, keep_versions=1, events=events) as loaded:
        for version in range(1, 13):
            shutil.rmtree(tmp_path / f"m/{version}")
        await look(loaded, PATIENCE + 1)
        assert [version for _, version in states(loaded)] == list(range(3, 14))
        assert forgotten == [ModelForgotten("m", "1"), ModelForgotten("m", "2")]


@pytest.mark.parametrize("left", [True, False])
async def test_a_models_folder_that_is_gone_or_empty_takes_nothing_out_of_service(
    tmp_path: Path, left: bool, caplog: pytest.LogCaptureFixture
) -> None:
    models = tmp_path / "models"
    make_bundle(models / "m/1")
    async with watching(models) as loaded:
        before = loaded.resolve("m", 1)
        models.rename(tmp_path / "away")
        if left:  # the mount point of a volume that was taken off
            models.mkdir()
        with caplog.at_level(logging.ERROR):
            await look(loaded, 2 * PATIENCE)
        assert loaded.resolve("m", 1) is before
        assert [record.message for record in caplog.records if "stays in service" in record.message] == [
            f"{models} {'has no bundle any more' if left else 'cannot be read: No such file or directory'}; "
            "what is in memory stays in service"
        ]
        if left:
            models.rmdir()
        else:
            with pytest.raises(UnavailableError, match="cannot be read"):
                await loaded.load("m")
        (tmp_path / "away").rename(models)
        make_bundle(models / "m/2")
        await look(loaded)
        assert version_of(loaded) == 2


async def test_only_the_highest_good_versions_are_kept(tmp_path: Path) -> None:
    for version in (1, 2, 3):
        make_bundle(tmp_path / f"m/{version}")
    flip_a_byte(make_bundle(tmp_path / "m/4") / manifest.WEIGHTS)
    async with watching(tmp_path, keep_versions=2) as loaded:
        assert states(loaded) == {("m", 1): UNLOADED, ("m", 2): SERVING, ("m", 3): SERVING, ("m", 4): REFUSED}
        make_bundle(tmp_path / "m/5")
        await look(loaded)
        assert states(loaded)["m", 2] is UNLOADED
        assert version_of(loaded) == 5
        shutil.rmtree(tmp_path / "m/5")
        await look(loaded, PATIENCE + 1)
        await look(loaded, 1)
        assert [version for (_, version), state in states(loaded).items() if state is SERVING] == [2, 3]


async def test_what_was_unloaded_on_request_stays_so_until_a_request_whatever_comes_on_disk(tmp_path: Path) -> None:
    make_bundle(tmp_path / "m/1")
    async with watching(tmp_path) as loaded:
        await loaded.unload("m")
        make_bundle(tmp_path / "m/2")
        await look(loaded, 2 * PATIENCE)
        assert not loaded.is_serving("m")
        await loaded.load("m")
        assert version_of(loaded) == 2
        make_bundle(tmp_path / "m/3")
        await look(loaded)
        assert version_of(loaded) == 3


async def test_a_version_that_is_replaced_is_freed_only_when_nobody_uses_it(tmp_path: Path) -> None:
    make_bundle(tmp_path / "m/1")
    async with watching(tmp_path) as loaded:
        found: ServedModel = loaded.resolve("m", 1)
        with found.users:  # found, and its picture not decoded yet
            shutil.rmtree(tmp_path / "m/1")
            make_bundle(tmp_path / "m/1", seed=1)
            await look(loaded)
            assert loaded.resolve("m", 1) is not found
            assert found.batcher.queued == 0
            assert await answered(found)
        await found.users.gone()


async def test_a_version_that_nobody_uses_any_more_is_freed_without_waiting_for_python_to_find_cycles(
    tmp_path: Path,
) -> None:
    make_bundle(tmp_path / "m/1")
    async with watching(tmp_path) as loaded:
        found: ServedModel | None = loaded.resolve("m", 1)
        assert found is not None
        version, engine = weakref.ref(found), weakref.ref(found.engine)
        del found
        gc.disable()
        try:
            shutil.rmtree(tmp_path / "m/1")
            make_bundle(tmp_path / "m/1", seed=1)
            await look(loaded)
            async with asyncio.timeout(10):
                while version() or engine():  # noqa: ASYNC110  the threads of its engines have to end
                    await asyncio.sleep(0.01)
        finally:
            gc.enable()


async def answered(model: ServedModel) -> bool:
    """Whether it still computes."""
    image = ImageItem(np.zeros((1, 12, 16, 3), np.uint8), np.empty((1, 0), np.int64), 0)
    assert isinstance(model, ServedClassifier)
    return len((await model.batcher.submit(image, None)).result.probabilities) == 1


async def test_nothing_is_found_in_a_folder_that_was_never_there(tmp_path: Path) -> None:
    async with watching(tmp_path) as loaded:
        await look(loaded)
        with pytest.raises(ModelNotFoundError):
            loaded.resolve("m", None)
