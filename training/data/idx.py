"""Files of arrays of bytes, as MNIST and its kin are published: LeCun's IDX format, plain or gzipped.

Two zeros, type 8 (bytes), rank; each size as big-endian uint32; the bytes.
"""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.errors import DataError

_BYTES = 8
_GZIP = b"\x1f\x8b"


def read(path: Path, rank: int) -> NDArray[np.uint8]:
    """The array uint8 of `rank` dimensions in the file at `path`; raises DataError, naming it, when it is not one."""
    try:
        content = path.read_bytes()
        content = gzip.decompress(content) if content.startswith(_GZIP) else content
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read: {error}; put the whole file there again") from error
    start = 4 + 4 * rank
    sizes = np.frombuffer(content[4:start], ">u4").tolist() if content[:4] == bytes([0, 0, _BYTES, rank]) else []
    if len(sizes) != rank or len(content) != start + math.prod(sizes):
        raise DataError(
            f"{path}: is not a whole IDX file of bytes in {rank} dimensions; put the whole file there again"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(sizes)


def find(folder: Path, name: str) -> Path:
    """The file `name`, or `name`.gz, in `folder`; the former when there is neither."""
    plain, packed = folder / name, folder / f"{name}.gz"
    return packed if packed.is_file() else plain
