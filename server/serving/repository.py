"""The models on disk, and which of them are in service.

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
from bundle.files import MANIFEST_SUM
from bundle.manifest import TensorManifest
from server.batching.batcher import Batcher
from server.batching.items import Images, Tensors
from server.config import Settings
from server.errors import ModelNotFoundError, UnavailableError
from server.events import BatchDone, Events, ModelChanged, ModelState
from server.serving.jobs import ModelStatus
from server.serving.layout import Found, find_bundles
from server.serving.loading import load
from server.serving.models import ServedClassifier, ServedModel, ServedTensors

log = logging.getLogger(__name__)

_SERVED = (ServedClassifier, ServedTensors)


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
        self._changing = asyncio.Lock()  # one load or unload at a time

    async def load_all(self) -> None:
        """Loads every bundle found, one after the other; returns when each is in service or refused."""
        async with self._changing:
            found = self._on_disk()
            for name, version, _ in found:
                self._enter(name, version, _NotServed(ModelState.LOADING, ""))
            for name, version, folder in found:
                self._enter(name, version, await self._load(name, version, folder))

    async def load(self, name: str) -> None:
        """Brings the versions of a model that are on disk into service, and takes out those that are not there any more.

        A version in service whose bundle is the same stays as it is; one whose bundle is another is replaced when the new
        one is good, without a gap. Raises ModelNotFoundError when there is neither a bundle nor a version of that name, and
        UnavailableError with the reason when no version is in service afterwards.
        """
        async with self._changing:
            found = {version: folder for known, version, folder in self._on_disk() if known == name}
            if not found and name not in self._models:
                raise ModelNotFoundError(f"no bundle of a model {name!r} under {self._settings.models}")
            for version in set(self._models.get(name, {})) - set(found):
                await self._retire(name, version, "its bundle is gone")
            for version, folder in sorted(found.items()):
                await self._renew(name, version, folder)
        if not self.is_serving(name):
            refused = max(self._models[name].items())[1]
            reason = refused.reason if isinstance(refused, _NotServed) else ""
            raise UnavailableError(f"model {name!r} could not be loaded: {reason}")

    async def unload(self, name: str) -> None:
        """Takes every version of a model out of service; what they have is finished first. Raises ModelNotFoundError."""
        async with self._changing:
            self.number(name, None)
            for version in sorted(self._models[name]):
                await self._retire(name, version, "unloaded on request")

    async def close(self) -> None:
        """Finishes what the batchers have and frees the engines."""
        for model in self.served():
            await model.batcher.close()

    def served(self) -> list[ServedModel]:
        """The versions in service."""
        entries = (entry for versions in self._models.values() for entry in versions.values())
        return [entry for entry in entries if isinstance(entry, _SERVED)]

    def is_serving(self, name: str) -> bool:
        """Whether some version of the model is in service."""
        return any(isinstance(entry, _SERVED) for entry in self._models.get(name, {}).values())

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
        if isinstance(entry, _SERVED):
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

    def _on_disk(self) -> list[Found]:
        return find_bundles(self._settings.models, self._settings.model_name)

    async def _renew(self, name: str, version: int, folder: Path) -> None:
        """Loads a version unless the very same bundle is in service."""
        before = self._models.get(name, {}).get(version)
        if isinstance(before, _SERVED):
            if before.fingerprint == _fingerprint(folder):
                return
        else:
            self._enter(name, version, _NotServed(ModelState.LOADING, ""))
        after = await self._load(name, version, folder)
        if isinstance(before, _SERVED):
            if isinstance(after, _NotServed):
                return  # a bad bundle leaves the old one in service
            self._enter(name, version, after)
            await before.batcher.close()
        else:
            self._enter(name, version, after)

    async def _retire(self, name: str, version: int, reason: str) -> None:
        entry = self._models[name][version]
        self._enter(name, version, _NotServed(ModelState.UNLOADED, reason))
        if isinstance(entry, _SERVED):
            await entry.batcher.close()

    async def _load(self, name: str, version: int, folder: Path) -> ServedModel | _NotServed:
        started = self._clock()
        fingerprint = _fingerprint(folder)
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

        common = (self._settings.max_batch, self._clock, on_batch, f"{name}/{version}")
        served = (name, version, engine, time.time(), fingerprint)
        if isinstance(loaded.manifest, TensorManifest):
            return ServedTensors(*served, loaded.manifest, Batcher(engine, Tensors(), *common))
        return ServedClassifier(*served, loaded.manifest, Batcher(engine, Images(), *common))

    def _enter(self, name: str, version: int, entry: ServedModel | _NotServed) -> None:
        self._models.setdefault(name, {})[version] = entry
        if isinstance(entry, _SERVED):
            engine = entry.engine
            change = ModelChanged(
                name, str(version), ModelState.SERVING, "", engine.name, engine.precision, engine.device
            )
        else:
            change = ModelChanged(name, str(version), entry.state, entry.reason)
        self._events.emit(change)

    def _status(self, name: str, version: int, entry: ServedModel | _NotServed) -> ModelStatus:
        is_default = version == _default(self._models[name])
        if isinstance(entry, _SERVED):
            return ModelStatus(name, version, ModelState.SERVING, "", is_default, entry.running)
        return ModelStatus(name, version, entry.state, entry.reason, is_default=False, running=None)


def _default(versions: dict[int, ServedModel | _NotServed]) -> int:
    """The highest version in service; without one, the highest, so that its reason can be told."""
    served = [version for version, entry in versions.items() if isinstance(entry, _SERVED)]
    return max(served or versions)


def _fingerprint(folder: Path) -> str:
    """What tells one bundle from another: the checksum of its manifest, which has the checksums of all else."""
    try:
        return (folder / MANIFEST_SUM).read_text()
    except (OSError, UnicodeDecodeError):
        return ""  # such a bundle is refused anyway
