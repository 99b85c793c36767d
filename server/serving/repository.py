"""The models on disk, brought into service and taken out of it."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from bundle.errors import BundleError
from bundle.files import MANIFEST_SUM
from server.config import Settings
from server.errors import ModelNotFoundError, UnavailableError
from server.events import Events, ModelState
from server.serving import assembly
from server.serving.assembly import Identity, Surroundings
from server.serving.catalogue import SERVED, Catalogue, Entry, NotServed
from server.serving.layout import Found, find_bundles
from server.serving.loading import load
from server.serving.models import ServedModel

log = logging.getLogger(__name__)


class Repository(Catalogue):
    """Loads the bundles below a folder and finds them by name and version."""

    def __init__(self, settings: Settings, events: Events, clock: Callable[[], float]) -> None:
        super().__init__(events)
        self._settings = settings
        self._clock = clock
        self._changing = asyncio.Lock()  # one load or unload at a time
        self._around = Surroundings(events, clock, settings.engine_seconds, self._on_failing)
        self._failing: dict[tuple[str, int], ServedModel] = {}  # out of service until their engines work again

    async def load_all(self) -> None:
        """Loads every bundle found, one after the other; returns when each is in service or refused."""
        async with self._changing:
            found = self._on_disk()
            for name, version, _ in found:
                self.enter(name, version, NotServed(ModelState.LOADING, ""))
            for name, version, folder in found:
                self.enter(name, version, await self._load(name, version, folder))

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
            reason = refused.reason if isinstance(refused, NotServed) else ""
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

    def _on_disk(self) -> list[Found]:
        return find_bundles(self._settings.models, self._settings.model_name)

    async def _renew(self, name: str, version: int, folder: Path) -> None:
        """Loads a version unless the very same bundle is in service."""
        before = self._models.get(name, {}).get(version)
        if isinstance(before, SERVED):
            if before.fingerprint == _fingerprint(folder):
                return
        else:
            self.enter(name, version, NotServed(ModelState.LOADING, ""))
        after = await self._load(name, version, folder)
        if isinstance(before, SERVED):
            if isinstance(after, NotServed):
                return  # a bad bundle leaves the old one in service
            self.enter(name, version, after)
            await before.batcher.close()
        else:
            self.enter(name, version, after)

    async def _retire(self, name: str, version: int, reason: str) -> None:
        entry = self._models[name][version]
        self.enter(name, version, NotServed(ModelState.UNLOADED, reason))
        if isinstance(entry, SERVED):
            await entry.batcher.close()

    async def _load(self, name: str, version: int, folder: Path) -> Entry:
        started = self._clock()
        fingerprint = _fingerprint(folder)
        try:
            loaded = await asyncio.to_thread(load, folder, self._settings)
        except BundleError as error:
            log.error("refused %s version %d: %s", name, version, error)
            return NotServed(ModelState.REFUSED, str(error))
        except Exception:
            log.exception("refused %s version %d", name, version)
            return NotServed(ModelState.REFUSED, "unforeseen error while loading; the server's log has the details")
        engine = loaded.engines[0]
        log.info(
            "serving %s version %d on %s %s %s after %.2f s",
            *(name, version, engine.name, engine.precision, engine.device, self._clock() - started),
        )
        return assembly.served(Identity(name, version, fingerprint), loaded, self._around)

    def _on_failing(self, model: ServedModel, reason: str) -> None:
        """Takes a version out of service while its engines fail, and in again."""
        key = model.name, model.version
        if reason and self.versions(model.name).get(model.version) is model:
            self._failing[key] = model
            self.enter(*key, NotServed(ModelState.FAILING, reason))
        elif not reason and self._failing.get(key) is model:
            del self._failing[key]
            self.enter(*key, model)


def _fingerprint(folder: Path) -> str:
    """What tells one bundle from another: the checksum of its manifest, which has the checksums of all else."""
    try:
        return (folder / MANIFEST_SUM).read_text()
    except (OSError, UnicodeDecodeError):
        return ""  # such a bundle is refused anyway
