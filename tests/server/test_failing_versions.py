"""Versions whose engines fail again and again: out of service while they do, and back when they work."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from bundle.manifest import Manifest, TensorManifest
from server.batching.items import ImageItem
from server.config import Settings
from server.engine.base import Array, Engine
from server.errors import InternalError, UnavailableError
from server.events import EngineFault, Events, ModelChanged, ModelState
from server.serving import loading
from server.serving.loading import Loaded
from server.serving.models import ServedClassifier
from server.serving.repository import Repository
from tests.bundles import make_bundle
from tests.server.fakes import ManualClock
from tests.server.gated import until
from tests.server.test_repository import settings


@dataclass
class Power:
    """Without it no engine runs, and none can be built."""

    on: bool = True


@dataclass(frozen=True)
class Dependent:
    """An engine that needs power."""

    engine: Engine
    power: Power

    name, precision, device, buckets = "dependent", "fp32", "test", ()

    def run(self, feeds: Mapping[str, Array], wanted: Sequence[str]) -> list[Array]:
        if not self.power.on:
            raise RuntimeError("the device is gone")
        return self.engine.run(feeds, wanted)


@pytest.fixture
def power(monkeypatch: pytest.MonkeyPatch) -> Power:
    """What every engine that is loaded in the test depends on."""
    power = Power()

    def build(folder: Path, manifest: Manifest | TensorManifest, settings: Settings) -> Loaded:
        loaded = loading.build(folder, manifest, settings)

        def rebuild() -> Engine:
            if not power.on:
                raise RuntimeError("the device is gone")
            return Dependent(loaded.rebuild(), power)

        return replace(loaded, engines=[Dependent(engine, power) for engine in loaded.engines], rebuild=rebuild)

    monkeypatch.setattr("server.serving.repository.build", build)
    return power


async def ask(model: object) -> None:
    assert isinstance(model, ServedClassifier)
    height, width, channels = model.manifest.input_shape
    await model.batcher.submit(
        ImageItem(np.zeros((1, height, width, channels), np.uint8), np.empty((1, 0), np.int64), 0), None
    )


async def test_a_version_whose_engine_fails_again_and_again_is_out_of_service_until_it_works(
    tmp_path: Path, power: Power
) -> None:
    make_bundle(tmp_path / "m/1")
    events, states, faults = Events(), list[ModelState](), list[str]()
    events.subscribe(ModelChanged, lambda event: states.append(event.state))
    events.subscribe(EngineFault, lambda event: faults.append(event.fault))
    models = Repository(settings(tmp_path), events, ManualClock())
    await models.load_all()
    model = models.resolve("m", None)
    power.on = False
    with pytest.raises(InternalError):
        await ask(model)
    await until(lambda: not models.is_serving("m"))
    assert models.status("m", 1).state is ModelState.FAILING
    with pytest.raises(UnavailableError, match="3 times in a row"):
        models.resolve("m", None)
    power.on = True
    await until(lambda: models.is_serving("m"))
    assert models.resolve("m", None) is model
    await ask(model)
    await models.close()
    assert states[-3:] == [ModelState.SERVING, ModelState.FAILING, ModelState.SERVING]
    assert faults[:3] == ["raised", "rebuild", "rebuild"]


async def test_a_new_bundle_takes_the_place_of_a_version_that_fails(tmp_path: Path, power: Power) -> None:
    make_bundle(tmp_path / "m/1")
    models = Repository(settings(tmp_path), Events(), ManualClock())
    await models.load_all()
    power.on = False
    with pytest.raises(InternalError):
        await ask(models.resolve("m", None))
    await until(lambda: not models.is_serving("m"))
    (tmp_path / "m/1").rename(tmp_path / ".old")
    make_bundle(tmp_path / "m/1", seed=5)
    power.on = True
    await models.load("m")
    await ask(models.resolve("m", None))
    await models.close()


async def test_a_version_that_fails_can_be_unloaded(tmp_path: Path, power: Power) -> None:
    make_bundle(tmp_path / "m/1")
    models = Repository(settings(tmp_path), Events(), ManualClock())
    await models.load_all()
    power.on = False
    with pytest.raises(InternalError):
        await ask(models.resolve("m", None))
    await until(lambda: not models.is_serving("m"))
    await models.unload("m")
    assert models.status("m", 1).state is ModelState.UNLOADED
    power.on = True
    await models.close()
    assert models.status("m", 1).state is ModelState.UNLOADED
