"""The models on disk, <models>/<name>/<version>/, and which of them are in service.

A version that is refused stays in the list with its reason and takes nothing away from the others. When a request names no
version, the highest one in service answers.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bundle.errors import BundleError
from bundle.manifest import Manifest, Provenance
from server.batching.batcher import Batcher
from server.config import Settings
from server.engine.base import Engine
from server.errors import ModelNotFoundError, UnavailableError
from server.events import BatchDone, Events, ModelChanged, ModelState
from server.serving.jobs import ModelStatus, Running
from server.serving.loading import load

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ServedModel:
    """A version in service."""

    name: str
    version: int
    manifest: Manifest
    engine: Engine
    batcher: Batcher
    loaded_at: float  # Unix time, seconds


@dataclass(frozen=True)
class _NotServed:
    state: ModelState
    reason: str


class Repository:
    """Loads the bundles below a folder and finds them by name and version."""

    def __init__(self, settings: Settings, events: Events, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._events = events
        self._clock = clock
        self._models: dict[str, dict[int, ServedModel | _NotServed]] = {}

    async def load_all(self) -> None:
        """Loads every bundle found, one after the other; returns when each is in service or refused."""
        found = find_bundles(self._settings.models)
        for name, version, _ in found:
            self._enter(name, version, _NotServed(ModelState.LOADING, ""))
        for name, version, folder in found:
            self._enter(name, version, await self._load(name, version, folder))

    async def close(self) -> None:
        """Finishes what the batchers have and frees the engines."""
        for model in self.served():
            await model.batcher.close()

    def served(self) -> list[ServedModel]:
        """The versions in service."""
        entries = (entry for versions in self._models.values() for entry in versions.values())
        return [entry for entry in entries if isinstance(entry, ServedModel)]

    def is_serving(self, name: str) -> bool:
        """Whether some version of the model is in service."""
        return any(isinstance(entry, ServedModel) for entry in self._models.get(name, {}).values())

    def number(self, name: str, version: int | None) -> int:
        """The number of the version that a request means, whatever its state. Raises ModelNotFoundError."""
        versions = self._models.get(name)
        if not versions:
            raise ModelNotFoundError(f"no model {name!r}; there are: {', '.join(sorted(self._models)) or 'none'}")
        if version is None:
            return _default(versions)
        if version not in versions:
            known = ", ".join(str(number) for number in sorted(versions))
            raise ModelNotFoundError(f"model {name!r} has no version {version}; there are: {known}")
        return version

    def resolve(self, name: str, version: int | None) -> ServedModel:
        """The version in service that a request means.

        Raises ModelNotFoundError when there is none of that name or number, UnavailableError when it is there but loading
        or refused.
        """
        number = self.number(name, version)
        entry = self._models[name][number]
        if isinstance(entry, ServedModel):
            return entry
        which = f"model {name!r}" if version is None else f"model {name!r} version {version}"
        raise UnavailableError(f"{which} is {entry.state}{': ' if entry.reason else ''}{entry.reason}")

    def status(self, name: str, version: int | None) -> ModelStatus:
        """One version, whatever its state. Raises ModelNotFoundError."""
        number = self.number(name, version)
        return self._status(name, number, self._models[name][number])

    def statuses(self) -> list[ModelStatus]:
        """Every version of every model, by name and number."""
        return [
            self._status(name, version, entry)
            for name, versions in sorted(self._models.items())
            for version, entry in sorted(versions.items())
        ]

    async def _load(self, name: str, version: int, folder: Path) -> ServedModel | _NotServed:
        started = self._clock()
        try:
            loaded = await asyncio.to_thread(load, folder, self._settings)
        except BundleError as error:
            log.error("refused %s version %d: %s", name, version, error)
            return _NotServed(ModelState.REFUSED, str(error))
        except Exception:
            log.exception("refused %s version %d", name, version)
            return _NotServed(ModelState.REFUSED, "unforeseen error while loading; the server's log has the details")
        engine = loaded.engine
        log.info(
            "serving %s version %d on %s %s %s after %.2f s",
            *(name, version, engine.name, engine.precision, engine.device, self._clock() - started),
        )

        def on_batch(images: int, seconds: float) -> None:
            self._events.emit(BatchDone(name, str(version), images, seconds))

        batcher = Batcher(engine, self._settings.max_batch, self._clock, on_batch, f"{name}/{version}")
        return ServedModel(name, version, loaded.manifest, engine, batcher, time.time())

    def _enter(self, name: str, version: int, entry: ServedModel | _NotServed) -> None:
        self._models.setdefault(name, {})[version] = entry
        if isinstance(entry, ServedModel):
            engine = entry.engine
            change = ModelChanged(
                name, str(version), ModelState.SERVING, "", engine.name, engine.precision, engine.device
            )
        else:
            change = ModelChanged(name, str(version), entry.state, entry.reason)
        self._events.emit(change)

    def _status(self, name: str, version: int, entry: ServedModel | _NotServed) -> ModelStatus:
        is_default = version == _default(self._models[name])
        if isinstance(entry, ServedModel):
            return ModelStatus(name, version, ModelState.SERVING, "", is_default, _running(entry))
        return ModelStatus(name, version, entry.state, entry.reason, is_default=False, running=None)


def find_bundles(models: Path) -> list[tuple[str, int, Path]]:
    """The (name, version, folder) of every <name>/<positive integer>/ below `models`; hidden folders are left alone."""
    return sorted(
        (folder.parent.name, int(folder.name), folder)
        for folder in models.glob("*/*/")
        if folder.name.isascii() and folder.name.isdecimal() and int(folder.name) > 0
        if not folder.parent.name.startswith(".")
    )


def _default(versions: dict[int, ServedModel | _NotServed]) -> int:
    """The highest version in service; without one, the highest, so that its reason can be told."""
    served = [version for version, entry in versions.items() if isinstance(entry, ServedModel)]
    return max(served or versions)


def _running(model: ServedModel) -> Running:
    manifest = model.manifest
    return Running(
        kind=manifest.kind,
        labels=tuple(manifest.labels),
        explanations=tuple(manifest.explanations),
        input_shape=manifest.input_shape,
        heatmap_shape=(manifest.feature_map.height, manifest.feature_map.width),
        max_batch=model.batcher.max_batch,
        engine=model.engine.name,
        precision=model.engine.precision,
        device=model.engine.device,
        loaded_at=model.loaded_at,
        provenance=_flat(manifest.provenance),
    )


def _flat(provenance: Provenance) -> dict[str, str]:
    libraries = {f"library.{name}": version for name, version in provenance.libraries.items()}
    return {"source": provenance.source, "created": provenance.created} | provenance.details | libraries
