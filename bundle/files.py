"""Files of a bundle: sealing them with checksums, verifying them, and never leaving half a folder behind.

The manifest lists the SHA-256 of every other file. Its own stands beside it in manifest.sha256, in the format of
`sha256sum`, because a file cannot contain its own checksum.
"""

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec

from bundle import manifest as manifests
from bundle import strict
from bundle.errors import BundleError
from bundle.manifest import MANIFEST, Manifest, TensorManifest

AnyManifest = TypeVar("AnyManifest", Manifest, TensorManifest)

MANIFEST_SUM = "manifest.sha256"


def checksums(folder: Path) -> dict[str, str]:
    """SHA-256 of every file under `folder` except the manifest's own two, by path relative to it."""
    return {
        name: sha256(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and (name := path.relative_to(folder).as_posix()) not in (MANIFEST, MANIFEST_SUM)
    }


def sha256(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def seal(folder: Path, manifest: AnyManifest) -> AnyManifest:
    """Writes `manifest` with the checksums of the files now in `folder`, and the manifest's own checksum."""
    manifest = msgspec.structs.replace(manifest, files=checksums(folder))
    strict.write(folder / MANIFEST, manifest)
    (folder / MANIFEST_SUM).write_text(f"{sha256(folder / MANIFEST)}  {MANIFEST}\n")
    return manifest


def verify(folder: Path) -> Manifest | TensorManifest:
    """Checks every file of the bundle in `folder` against its checksum and returns the manifest.

    Raises BundleError naming the first file that is missing or changed, or what is wrong in the manifest.
    """
    _verify_own_checksum(folder)
    manifest = manifests.read(folder)
    _verify_files(folder, manifest)
    return manifest


def verify_classifier(folder: Path) -> Manifest:
    """As `verify`, for a bundle that must be an image classifier's. Raises BundleError when it is not."""
    return manifests.classifier(folder, verify(folder))


def _verify_files(folder: Path, manifest: Manifest | TensorManifest) -> None:
    for name, expected in manifest.files.items():
        if (folder / name).is_fifo() or (folder / name).is_char_device():
            raise BundleError(f"{folder / name}: cannot be read: it has no end")
        try:
            found = sha256(folder / name)
        except OSError as error:
            raise BundleError(f"{folder / name}: cannot be read: {error.strerror}") from error
        if found != expected:
            raise BundleError(
                f"{folder / name}: changed since export: SHA-256 is {found}, the manifest says {expected}"
            )


def _verify_own_checksum(folder: Path) -> None:
    try:
        recorded = (folder / MANIFEST_SUM).read_text()
        expected = f"{sha256(folder / MANIFEST)}  {MANIFEST}\n"
    except OSError as error:
        raise BundleError(f"{error.filename}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BundleError(f"{folder / MANIFEST_SUM}: changed since export: not text") from error
    if recorded != expected:
        raise BundleError(f"{folder / MANIFEST}: changed since export: its SHA-256 is not the one in {MANIFEST_SUM}")


@contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """Yields a new folder beside `target` that becomes `target` if the block succeeds and is removed if it does not.

    Raises FileExistsError when `target` is there already: versions are immutable.
    """
    if target.exists():
        raise FileExistsError(f"{target} exists already; choose another version or remove it")
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{target.name}.partial-", dir=target.parent))
    try:
        yield partial
        partial.chmod(0o755)
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
