"""What lies below the folder of models, from one look to the next: what is complete, what is still being copied, what is gone.

The folder is looked at again and again. The kernel could tell of changes (inotify), but not of those that other machines make on a
network volume, and a look is needed after each of its hints anyway; so there is one way, which works on every volume, for a few
hundred calls of `stat` every other second.

A version's folder is *complete* when it has its manifest.sha256, which is written last, and every file has its checksum. How to tell
one that is damaged from one that is being copied: the latter changes. So it is tried when it has been the same in two looks, and
refused only when it has been the same in `PATIENCE` looks more. A version is gone when it has not been there in so many looks.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from bundle.files import MANIFEST_SUM
from server.serving import roles
from server.serving.layout import find_bundles, home
from server.serving.roles import Roles, RolesError

# Looks in which nothing changed, after which what is there counts as all that there will be.
PATIENCE = 5

# Of every file below a folder: its path, size in bytes, time of change in nanoseconds, and inode.
Stamp = tuple[tuple[str, int, int, int], ...]
_Key = tuple[str, int]  # name and version


class Seen(NamedTuple):
    """A version's folder in one look.

    `fingerprint` tells one bundle from another: the checksum of its manifest, which has the checksums of all else; empty
    without one.
    """

    folder: Path
    stamp: Stamp
    fingerprint: str


class Look(NamedTuple):
    """Everything below the folder of models, by model and version; `roles` has the reason where a file is refused."""

    bundles: dict[str, dict[int, Seen]]
    roles: dict[str, Roles | RolesError]


def look(models: Path, model_name: str) -> Look:
    """Looks once; blocking. What goes away meanwhile is as if it had not been there. Raises OSError when nothing can be seen."""
    os.stat(models)  # noqa: PTH116  raises, where the search below would find nothing
    bundles: dict[str, dict[int, Seen]] = {}
    found_roles: dict[str, Roles | RolesError] = {}
    for found in find_bundles(models, model_name):
        seen = Seen(found.folder, stamp(found.folder), _fingerprint(found.folder))
        bundles.setdefault(found.name, {})[found.version] = seen
        if found.name not in found_roles:
            found_roles[found.name] = _roles(home(models, found))
    return Look(bundles, found_roles)


def stamp(folder: Path) -> Stamp:
    """What changes when a file below the folder does. Links are followed: Kubernetes changes volumes by changing a link."""
    return tuple(sorted(_files(folder)))


def _files(folder: Path) -> Iterator[tuple[str, int, int, int]]:
    for at, folders, files in os.walk(folder, followlinks=True):
        folders[:] = [
            name for name in folders if not name.startswith(".")
        ]  # ..data of a Kubernetes volume, .snapshot of a filer
        for name in files:
            path = f"{at}/{name}"
            try:
                status = os.stat(path)  # noqa: PTH116  thousands of them
            except OSError:
                continue  # went away meanwhile
            yield path, status.st_size, status.st_mtime_ns, status.st_ino


def _fingerprint(folder: Path) -> str:
    try:
        return (folder / MANIFEST_SUM).read_text()
    except (OSError, UnicodeDecodeError):
        return ""


def _roles(folder: Path) -> Roles | RolesError:
    try:
        return roles.read(folder)
    except RolesError as error:
        return error


class Patience:
    """When to try a folder, when to give it up, and when to believe that it is gone."""

    def __init__(self) -> None:
        self._looks: dict[_Key, tuple[Stamp, int]] = {}  # as it is, and how many looks before found it so
        self._failed: dict[_Key, tuple[Stamp, bool]] = {}  # as it was when it was tried, and whether that was final

    def note(self, bundles: dict[str, dict[int, Seen]]) -> None:
        """Another look has found this."""
        now = {(name, version): seen.stamp for name, versions in bundles.items() for version, seen in versions.items()}
        for key in self._looks.keys() | now.keys():
            before, looks = self._looks.get(key, (None, 0))
            found = now.get(key, ())
            self._looks[key] = (found, looks + 1 if before == found else 0)

    def is_settled(self, name: str, version: int) -> bool:
        """Whether a folder, or that there is none, will stay as it is."""
        return self._unchanged((name, version)) >= PATIENCE

    def is_due(self, name: str, version: int, seen: Seen) -> bool:
        """Whether to try what lies there now."""
        key = name, version
        if not seen.fingerprint or not self._unchanged(key):
            return False
        stamp_then, was_final = self._failed.get(key, ((), False))
        return stamp_then != seen.stamp or (not was_final and self.is_settled(name, version))

    def failed(self, name: str, version: int, seen: Seen, *, final: bool) -> None:
        """It was tried and is no good: for good, or as long as it is not settled."""
        self._failed[name, version] = seen.stamp, final

    def forget(self, name: str, version: int) -> None:
        """It went long ago."""
        self._looks.pop((name, version), None)
        self._failed.pop((name, version), None)

    def _unchanged(self, key: _Key) -> int:
        return self._looks.get(key, ((), 0))[1]
