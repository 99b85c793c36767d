"""Reading .npz files: one place that knows the many ways in which NumPy complains about a damaged one.

Nothing is unpickled, and nothing unpacked that is larger than it may be: some kilobytes of zip can hold gigabytes of zeros, and the header
of an array can promise any shape.
"""

import math
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from bundle.errors import BundleError

# Of all arrays that are read from one file; the samples of a bundle have 16 MiB.
MAX_BYTES = 1 << 30

# RuntimeError: a zip feature that Python lacks, as flipped bits may ask for.
_UNREADABLE = (OSError, EOFError, KeyError, TypeError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error)
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def read(path: Path, names: Iterable[str]) -> dict[str, NDArray[np.generic]]:
    """The arrays called `names` of the .npz file `path`, never unpickling anything.

    Raises BundleError when the file cannot be read or lacks one of them, or they are larger than any that belong into a bundle.
    """
    wanted = list(names)
    try:
        with zipfile.ZipFile(path) as packed:
            members = [packed.getinfo(f"{name}.npy") for name in wanted]
            total = sum(member.file_size for member in members)
            if total > MAX_BYTES:
                raise BundleError(f"{path}: its arrays have {total:,} bytes, the limit is {MAX_BYTES:,}")
            return {name: _array(packed, member) for name, member in zip(wanted, members, strict=True)}
    except _UNREADABLE as error:
        raise BundleError(f"{path}: cannot be read: {error}") from error


def _array(packed: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[np.generic]:
    with packed.open(member) as file:
        promised = _promised_bytes(file)
        if promised is not None and file.tell() + promised != member.file_size:
            raise ValueError(f"{member.filename} has {member.file_size:,} bytes, its header promises {promised:,}")
    with packed.open(member) as file:
        array: NDArray[np.generic] = npy.read_array(file, allow_pickle=False)
        return array


def _promised_bytes(file: IO[bytes]) -> int | None:
    """The size of the data of an array, from its header; None for objects, which are refused by `read_array`.

    Raises ValueError for a version that NumPy does not write for numbers.
    """
    read_header = _HEADERS.get(npy.read_magic(file))
    if read_header is None:
        raise ValueError("an array of an unknown version")
    shape, _, dtype = read_header(file)
    return None if dtype.hasobject else math.prod(shape) * dtype.itemsize
