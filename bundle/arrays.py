"""Reading .npz files: one place that knows the many ways in which NumPy complains about a damaged one."""

import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bundle.errors import BundleError

# TypeError: a plain .npy is no context manager. RuntimeError: a zip feature that Python lacks, as flipped bits may ask for.
_UNREADABLE = (OSError, EOFError, KeyError, TypeError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error)


def read(path: Path, names: Iterable[str]) -> dict[str, NDArray[np.generic]]:
    """The arrays called `names` of the .npz file `path`, never unpickling anything.

    Raises BundleError when the file cannot be read or lacks one of them.
    """
    try:
        # Opened here, because np.load(path) leaves the file open when it is no zip archive.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return {name: stored[name] for name in names}
    except _UNREADABLE as error:
        raise BundleError(f"{path}: cannot be read: {error}") from error
