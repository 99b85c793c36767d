"""The models on disk, brought into service and taken out of it, when asked and as their folder changes.

A new bundle is verified, built, warmed and checked beside the one in service; then requests find it, and the old one is freed when
nobody uses it any more. A bundle that is no good changes nothing.
"""

import asyncio
import logging
from collections.abc import Callable, Collection

from bundle.errors import BundleError
from server import memory
from server.config import Settings
from server.errors import ModelNotFoundError, UnavailableError
from server.events import BundleTried, Events, ModelState
from server.serving import assembly, watch
from server.serving.assembly import Identity, Surroundings
from server.serving.catalogue import SERVED, Catalogue, Entry, NotServed
from server.serving.loading import build, verify
from server.serving.models import ServedModel
from server.serving.roles import Roles, RolesError
from server.serving.watch import Look, Patience, Seen

log = logging.getLogger(__name__)

_COMING = "waiting until all its files are there"
_GONE = "its bundle is gone"
# So many versions of a model that are gone are still told of, for whoever wonders; each one costs memory and a page of metrics.
_REMEMBERED = 10


class Repository(Catalogue):
    """Loads the bundles below a folder and finds them by name and version."""

    def __init__(self, settings: Settings, events: Events, clock: Callable[[], float]) -> None:
        super().__init__(events)
        self._settings = settings
        self._clock = clock
        self._changing = asyncio.Lock()  # one load, unload or look at a time
        self._around = Surroundings(events, clock, settings.engine_seconds, self._on_failing)
        self._failing: dict[tuple[str, int], ServedModel] = {}  # out of service until their engines work again
        self._patience = Patience()
        self._roles: dict[str, Roles | RolesError] = {}  # as last read
        self._unloaded: set[str] = set()  # by request: only a request brings them back
        self._leaving: dict[asyncio.Task[None], ServedModel] = {}
        self._watching: asyncio.Task[None] | None = None
        self._is_lost = False

    async def load_all(self) -> None:
        """Loads every bundle found, one after the other; returns when each is in service or refused.

        From then on the folder is watched, if that is set.
        """
        async with self._changing:
            found = await self._look()
            for name, versions in found.bundles.items():
                for version in versions:
                    self.enter(name, version, NotServed(ModelState.LOADING, ""))
            for name in found.bundles:
                await self._follow(name, found, patient=False)
        if self._watches:
            self._watching = asyncio.create_task(self._watch())

    async def load(self, name: str) -> None:
        """Brings the versions of a model that are on disk into service, and takes out those that are not there any more.

        A version in service whose bundle is the same stays as it is; one whose bundle is another is replaced when the new
        one is good, without a gap. Raises ModelNotFoundError when there is neither a bundle nor a version of that name, and
        UnavailableError with the reason when no version is in service afterwards or the folder cannot be seen.
        """
        async with self._changing:
            try:
                found = await self._look()
            except OSError as error:
                raise UnavailableError(f"{self._settings.models} cannot be read: {error.strerror}") from error
            if name not in found.bundles and name not in self._models:
                raise ModelNotFoundError(f"no bundle of a model {name!r} under {self._settings.models}")
            self._unloaded.discard(name)
            await self._follow(name, found, patient=False)
        if not self.is_serving(name):
            refused = max(self._models[name].items())[1]
            reason = refused.reason if isinstance(refused, NotServed) else ""
            raise UnavailableError(f"model {name!r} could not be loaded: {reason}")

    async def unload(self, name: str) -> None:
        """Takes every version of a model out of service, until `load`; what they have is finished first.

        Raises ModelNotFoundError.
        """
        async with self._changing:
            if name not in self._models:
                self.number(name, None)  # says which there are
            self._unloaded.add(name)
            for version in sorted(self._models[name]):
                self._retire(name, version, "unloaded on request")
        await asyncio.gather(*(task for task, model in self._leaving.items() if model.name == name))

    async def close(self) -> None:
        """Finishes what the batchers have and frees the engines."""
        for task in (self._watching, *self._leaving):
            if task is not None:
                task.cancel()
        for model in (*self._leaving.values(), *self._failing.values(), *self.served()):
            await model.batcher.close()

    @property
    def _watches(self) -> bool:
        return self._settings.reload.watch_seconds > 0

    async def follow(self) -> None:
        """Looks at the folder once, and brings what is in service in line with it; the watch does so again and again."""
        async with self._changing:
            try:
                await self._follow_all(await self._look())
            except OSError as error:
                self._lose(f"cannot be read: {error.strerror}")

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._settings.reload.watch_seconds)
            try:
                await self.follow()
            except Exception:
                log.exception("a look at %s failed; the next one may not", self._settings.models)

    async def _look(self) -> Look:
        """Raises OSError."""
        found = await asyncio.to_thread(watch.look, self._settings.models, self._settings.model_name)
        if found.bundles or not self.served():
            self._patience.note(found.bundles)
        return found

    async def _follow_all(self, found: Look) -> None:
        """Brings every model in line with the folder. One that is empty all at once is a volume that went away."""
        if not found.bundles and self.served():
            self._lose("has no bundle any more")
            return
        if self._is_lost:
            log.warning("%s is back", self._settings.models)
            self._is_lost = False
        for name in sorted((found.bundles.keys() | self._models.keys()) - self._unloaded):
            await self._follow(name, found, patient=True)

    def _lose(self, how: str) -> None:
        if not self._is_lost:
            log.error("%s %s; what is in memory stays in service", self._settings.models, how)
        self._is_lost = True

    async def _follow(self, name: str, found: Look, *, patient: bool) -> None:
        """Brings a model in line with the folder; what is new before what is old goes. Unless `patient`, all is final."""
        on_disk = found.bundles.get(name, {})
        self._take_roles(name, found.roles.get(name, Roles()))
        pinned, kept = self._pinned(name), 0
        for version in sorted(on_disk.keys() | self.versions(name).keys(), reverse=True):
            if version in on_disk and (self._has_room(kept) or version in pinned):
                await self._renew(name, version, on_disk[version], patient=patient)
            kept += self.serves(name, version)
        self._point_labels(name)
        self._retire_others(name, on_disk.keys(), patient=patient)
        self._forget_old(name, on_disk.keys())

    def _has_room(self, kept: int) -> bool:
        return not self._settings.reload.keep_versions or kept < self._settings.reload.keep_versions

    def _pinned(self, name: str) -> set[int]:
        """The versions that stay as long as they have a role."""
        wanted = self._roles_of(name).versions()
        return wanted | set(self.labels(name).values())

    def _roles_of(self, name: str) -> Roles:
        """Those of the file; where it is no good, what held before."""
        found = self._roles.get(name)
        return found if isinstance(found, Roles) else Roles(self.labels(name), self.shadow(name))

    def _take_roles(self, name: str, found: Roles | RolesError) -> None:
        if isinstance(found, RolesError) and str(found) != str(self._roles.get(name)):
            log.error("%s; what held before goes on", found)
        self._roles[name] = found

    def _point_labels(self, name: str) -> None:
        """A label moves when the version that it is for is in service, so that nobody who asks by it goes without."""
        wanted, now = self._roles_of(name), self.labels(name)
        labels = {
            label: now[label] if label in now and self.serves(name, now[label]) and not self.serves(name, new) else new
            for label, new in wanted.labels.items()
        }
        if labels != now:
            told = ", ".join(f"{label} is version {version}" for label, version in sorted(labels.items()))
            log.info("labels of %s: %s", name, told or "none")
        found = self._roles[name]
        self.assign(name, labels, wanted.shadow, str(found) if isinstance(found, RolesError) else "")

    def _retire_others(self, name: str, on_disk: Collection[int], *, patient: bool) -> None:
        """Takes out of service what is gone and what is too old; a version that has a role stays."""
        pinned, kept = self._pinned(name), 0
        for version in sorted(self.versions(name), reverse=True):
            is_gone = version not in on_disk and (not patient or self._patience.is_settled(name, version))
            if version not in pinned and not self._has_room(kept):
                self._retire(name, version, "newer versions are in service (--keep-versions)")
            elif is_gone and version not in pinned:
                self._retire(name, version, _GONE)
            kept += self.serves(name, version)

    def _forget_old(self, name: str, on_disk: Collection[int]) -> None:
        known = self.versions(name).items()
        gone = [
            version
            for version, entry in sorted(known)
            if version not in on_disk and isinstance(entry, NotServed) and entry.state is ModelState.UNLOADED
        ]
        for version in gone[:-_REMEMBERED]:
            self._patience.forget(name, version)
            self.forget(name, version)

    async def _renew(self, name: str, version: int, seen: Seen, *, patient: bool) -> None:
        """Loads a version unless the very same bundle is in service, or it is known to be no good, or it is not complete."""
        failing = self._failing.get((name, version))
        before = failing or self.versions(name).get(version)
        if isinstance(before, SERVED) and before.fingerprint == seen.fingerprint:
            if failing is None:
                self.refuse(name, version, "")
            return
        if patient and not self._patience.is_due(name, version, seen):
            if before is None:
                self.enter(name, version, NotServed(ModelState.LOADING, _COMING))
            return
        if not isinstance(before, SERVED):
            self.enter(name, version, NotServed(ModelState.LOADING, ""))
        after = await self._load(name, version, seen, patient=patient)
        if isinstance(after, NotServed):
            self._patience.failed(name, version, seen, final=after.state is ModelState.REFUSED)
        if isinstance(before, SERVED) and isinstance(after, NotServed):
            if after.state is ModelState.REFUSED:
                self.refuse(name, version, after.reason)
            return  # the old one stays in service
        self._failing.pop((name, version), None)
        self.enter(name, version, after)
        if isinstance(before, SERVED):
            self._let_go(before)

    def _retire(self, name: str, version: int, reason: str) -> None:
        entry = self._failing.pop((name, version), None) or self._models[name][version]
        retired = NotServed(ModelState.UNLOADED, reason)
        if entry == retired:
            return
        self.enter(name, version, retired)
        if isinstance(entry, SERVED):
            log.info("out of service: %s version %d: %s", name, version, reason)
            self._let_go(entry)

    def _let_go(self, model: ServedModel) -> None:
        """Frees a version that nobody can find any more, when nobody uses it any more."""

        async def free() -> None:
            await model.users.gone()
            await model.batcher.close()

        def forget(done: asyncio.Task[None]) -> None:
            last = [self._leaving.pop(done)]
            asyncio.get_running_loop().run_in_executor(None, _free, last)

        task = asyncio.create_task(free())
        self._leaving[task] = model
        task.add_done_callback(forget)

    async def _load(self, name: str, version: int, seen: Seen, *, patient: bool) -> Entry:
        """The version in service, or why it is not: refused, or loading for as long as it may not be complete."""
        started = self._clock()
        try:
            manifest = await asyncio.to_thread(verify, seen.folder)
        except BundleError as error:
            if await self._may_still_change(name, version, seen, patient=patient):
                log.info("%s version %d: %s: %s", name, version, _COMING, error)
                return NotServed(ModelState.LOADING, f"{_COMING}: {error}")
            return self._refused(name, version, str(error))
        try:
            loaded = await asyncio.to_thread(build, seen.folder, manifest, self._settings)
        except BundleError as error:
            return self._refused(name, version, str(error))
        except Exception:
            log.exception("%s version %d", name, version)
            return self._refused(name, version, "unforeseen error while loading; the server's log has the details")
        engine = loaded.engines[0]
        log.info(
            "serving %s version %d on %s %s %s after %.2f s",
            *(name, version, engine.name, engine.precision, engine.device, self._clock() - started),
        )
        self._events.emit(BundleTried(name, str(version), "serving"))
        return assembly.served(Identity(name, version, seen.fingerprint), loaded, self._around)

    def _on_failing(self, model: ServedModel, reason: str) -> None:
        """Takes a version out of service while its engines fail, and in again."""
        key = model.name, model.version
        if reason and self.versions(model.name).get(model.version) is model:
            self._failing[key] = model
            self.enter(*key, NotServed(ModelState.FAILING, reason))
        elif not reason and self._failing.get(key) is model:
            del self._failing[key]
            self.enter(*key, model)

    async def _may_still_change(self, name: str, version: int, seen: Seen, *, patient: bool) -> bool:
        """Whether files that do not fit each other may be on their way; only a watched folder gets a second look."""
        if not self._watches:
            return False
        if patient and not self._patience.is_settled(name, version):
            return True
        return not seen.fingerprint or await asyncio.to_thread(watch.stamp, seen.folder) != seen.stamp

    def _refused(self, name: str, version: int, reason: str) -> NotServed:
        log.error("refused %s version %d: %s", name, version, reason)
        self._events.emit(BundleTried(name, str(version), "refused"))
        return NotServed(ModelState.REFUSED, reason)


def _free(last: list[ServedModel]) -> None:
    """Drops the last reference to a version, which takes some ten milliseconds: not in the event loop."""
    last.clear()
    memory.give_back()
