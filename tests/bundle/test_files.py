"""A bundle is whole, or it is refused with the name of the file that is not."""

import subprocess
from pathlib import Path

import pytest

from bundle import files
from bundle.errors import BundleError
from bundle.manifest import MANIFEST, ONNX_MODEL
from tests.bundle.folders import NAMES, UNSEALED, edit_manifest, sealed


def test_a_sealed_bundle_verifies_and_returns_its_manifest(tmp_path: Path) -> None:
    manifest = files.verify_classifier(sealed(tmp_path))
    assert manifest.labels == UNSEALED.labels
    assert set(manifest.files) == set(NAMES) - {MANIFEST, files.MANIFEST_SUM}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("where", [0.0, 0.5, 1.0])
def test_a_flipped_byte_in_any_file_is_refused_by_name(tmp_path: Path, name: str, where: float) -> None:
    path = sealed(tmp_path) / name
    data = bytearray(path.read_bytes())
    data[round(where * (len(data) - 1))] ^= 0x10
    path.write_bytes(data)
    with pytest.raises(BundleError, match="changed since export") as caught:
        files.verify(tmp_path)
    blamed = MANIFEST if name == files.MANIFEST_SUM else name
    assert str(caught.value).startswith(f"{tmp_path / blamed}: ")


@pytest.mark.parametrize("byte", [0x00, 0xFF])
def test_a_manifest_checksum_that_is_not_text_is_refused_by_name(tmp_path: Path, byte: int) -> None:
    path = sealed(tmp_path) / files.MANIFEST_SUM
    path.write_bytes(bytes([byte]) + path.read_bytes()[1:])
    with pytest.raises(BundleError, match=r"manifest\.(json|sha256): changed since export"):
        files.verify(tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_file_is_refused_by_name(tmp_path: Path, name: str) -> None:
    (sealed(tmp_path) / name).unlink()
    with pytest.raises(BundleError) as caught:
        files.verify(tmp_path)
    assert str(caught.value) == f"{tmp_path / name}: cannot be read: No such file or directory"


@pytest.mark.parametrize("name", NAMES)
def test_a_truncated_file_is_refused_by_name(tmp_path: Path, name: str) -> None:
    path = sealed(tmp_path) / name
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(BundleError, match="changed since export"):
        files.verify(tmp_path)


def test_a_folder_in_the_place_of_a_file_is_refused_by_name(tmp_path: Path) -> None:
    path = sealed(tmp_path) / ONNX_MODEL
    path.unlink()
    path.mkdir()
    with pytest.raises(BundleError, match=r"model\.onnx: cannot be read: Is a directory"):
        files.verify(tmp_path)


def test_a_folder_that_is_no_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"manifest\.sha256: cannot be read"):
        files.verify(tmp_path)


@pytest.mark.parametrize("path", ["../secret", "/etc/passwd", "saved_model/../../secret", ".."])
def test_a_path_out_of_the_bundle_is_refused_before_it_is_read(tmp_path: Path, path: str) -> None:
    edit_manifest(sealed(tmp_path), "files", path, value="0" * 64)
    with pytest.raises(BundleError, match="`files` names a path outside the bundle") as caught:
        files.verify(tmp_path)
    assert path in str(caught.value)


def test_the_manifest_checksum_is_in_the_format_of_sha256sum(tmp_path: Path) -> None:
    command = ["sha256sum", "--check", "--strict", files.MANIFEST_SUM]
    assert subprocess.run(command, cwd=sealed(tmp_path), check=False, capture_output=True).returncode == 0


def test_sealing_the_same_files_again_writes_the_same_manifest(tmp_path: Path) -> None:
    first = (sealed(tmp_path) / MANIFEST).read_bytes()
    files.seal(tmp_path, UNSEALED)
    assert (tmp_path / MANIFEST).read_bytes() == first


def test_an_atomic_folder_appears_whole_and_readable_for_others(tmp_path: Path) -> None:
    target = tmp_path / "models" / "animals" / "1"
    with files.atomic_folder(target) as partial:
        (partial / "file").write_text("content")
        assert not target.exists()
    assert (target / "file").read_text() == "content"
    assert target.stat().st_mode & 0o777 == 0o755
    assert list(target.parent.iterdir()) == [target]


def write_half_and_fail(target: Path, reason: type[BaseException]) -> None:
    with files.atomic_folder(target) as partial:
        (partial / "saved_model").mkdir()
        (partial / "saved_model" / "half").write_text("half")
        raise reason


@pytest.mark.parametrize("reason", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_atomic_folder_leaves_nothing_behind_on_any_error(tmp_path: Path, reason: type[BaseException]) -> None:
    with pytest.raises(reason):
        write_half_and_fail(tmp_path / "1", reason)
    assert list(tmp_path.iterdir()) == []


def test_an_atomic_folder_never_replaces_what_is_there(tmp_path: Path) -> None:
    target = tmp_path / "1"
    target.mkdir()
    (target / "kept").write_text("kept")
    with pytest.raises(FileExistsError, match="exists already; choose another version"), files.atomic_folder(target):
        pytest.fail("the block must not run")
    assert (target / "kept").read_text() == "kept"


def write_while_another_does(target: Path) -> None:
    with files.atomic_folder(target) as partial:
        (partial / "mine").write_text("mine")
        target.mkdir()
        (target / "theirs").write_text("theirs")


def test_an_atomic_folder_does_not_overwrite_one_that_appeared_meanwhile(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="not empty"):
        write_while_another_does(tmp_path / "1")
    assert [path.name for path in tmp_path.rglob("*")] == ["1", "theirs"]
