"""Bundles made to cost, or to run what they bring: refused before anything is unpacked, allocated or run."""

import io
import os
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from numpy.lib import format as npy

from bundle import arrays, files, manifest, strict
from bundle.errors import BundleError
from tests.bundles import make_bundle


def npz(path: Path, array: bytes) -> Path:
    """An .npz file of one array called `pixels`, as the bytes of its .npy file."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("pixels.npy", array)
    return path


def promising(shape: tuple[int, ...], data: bytes) -> bytes:
    """An array whose header promises `shape`, and which has only `data`."""
    file = io.BytesIO()
    npy.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return file.getvalue() + data


def refusal(path: Path) -> str:
    with pytest.raises(BundleError) as refused:
        arrays.read(path, ["pixels"])
    return str(refused.value)


@pytest.mark.parametrize("shape", [(1 << 40,), (1 << 20, 1 << 20, 1 << 20), (11,), (9,)])
def test_an_array_that_promises_another_size_than_it_has_is_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    assert "its header promises" in refusal(npz(tmp_path / "a.npz", promising(shape, bytes(10))))


def test_an_array_that_has_what_it_promises_is_read(tmp_path: Path) -> None:
    read = arrays.read(npz(tmp_path / "a.npz", promising((2, 5), bytes(10))), ["pixels"])
    np.testing.assert_array_equal(read["pixels"], np.zeros((2, 5), np.uint8))


def test_a_zip_of_gigabytes_is_refused_by_what_its_directory_says(tmp_path: Path) -> None:
    path = npz(tmp_path / "a.npz", promising((10,), bytes(10)))
    data = bytearray(path.read_bytes())
    struct.pack_into("<L", data, data.index(b"PK\x01\x02") + 24, 3 << 30)  # the uncompressed size, APPNOTE 4.3.12
    path.write_bytes(data)
    assert "its arrays have 3,221,225,472 bytes, the limit is 1,073,741,824" in refusal(path)


def test_a_zip_that_unpacks_to_more_than_it_says_is_refused(tmp_path: Path) -> None:
    path = npz(tmp_path / "a.npz", promising((1 << 20,), bytes(1 << 20)))
    data = bytearray(path.read_bytes())
    struct.pack_into("<L", data, data.index(b"PK\x01\x02") + 24, 1000)
    path.write_bytes(data)
    assert "Bad CRC-32" in refusal(path)


def test_a_manifest_of_absurd_size_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "manifest.json").open("w") as file:
        file.truncate(strict.MAX_BYTES + 1)  # a hole: it takes no disk
    with pytest.raises(BundleError, match="has 16,777,217 bytes, the limit is 16,777,216"):
        manifest.read(tmp_path)


def test_a_manifest_of_absurd_depth_is_refused(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"kind": ' + "[" * 1_000_000)
    with pytest.raises(BundleError, match=r"nested too deeply|not valid JSON|Expected `str`"):
        manifest.read(tmp_path)


def test_a_pipe_in_place_of_a_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path / "1")
    (folder / manifest.ONNX_MODEL).unlink()
    os.mkfifo(folder / manifest.ONNX_MODEL)
    with pytest.raises(BundleError, match="cannot be read: it has no end"):
        files.verify(folder)
