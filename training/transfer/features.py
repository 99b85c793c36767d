"""What a frozen base makes of pictures: the same in every epoch, so it is computed once, and kept for the next run.

A file is called by a fingerprint of all that decides what is in it: the base and its weights, the way to the vector, the
pixels. So nothing in the folder is ever wrong; it can be deleted at any time.
"""

import hashlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from training.data.dataset import SplitName
from training.fit import Examples
from training.progress import bar, console

Features = NDArray[np.float32]  # [N, D]
_BATCH = 64


def of(
    extractor: keras.Model, origin: str, examples: Mapping[SplitName, Examples], cache: Path
) -> dict[SplitName, Examples]:
    """`examples` with the extractor's vectors float32 [N, D] in place of the pixels; `origin` names what it is made of."""
    own = _fingerprint(extractor, origin)
    with bar() as progress:
        task = progress.add_task("features", total=sum(len(labels) for _, labels in examples.values()))

        def vectors(pixels: NDArray[np.uint8]) -> Features:
            path = cache / f"{hashlib.sha256(own + pixels.tobytes()).hexdigest()}.npy"
            found = _stored(path)
            if found is None or len(found) != len(pixels):
                parts = []
                for start in range(0, len(pixels), _BATCH):
                    parts.append(extractor.predict_on_batch(pixels[start : start + _BATCH]))
                    progress.advance(task, len(parts[-1]))
                found = np.concatenate(parts)
                _store(path, found)
            return found

        return {name: (vectors(pixels), labels) for name, (pixels, labels) in examples.items()}


def _fingerprint(extractor: keras.Model, origin: str) -> bytes:
    """Layers' names are left out: Keras counts them up within one process."""
    digest = hashlib.sha256(f"{origin} {extractor.input_shape} {extractor.output_shape} {keras.__version__}".encode())
    digest.update(type(extractor.layers[-1]).__name__.encode())
    for weight in extractor.get_weights():
        digest.update(weight.tobytes())
    return digest.digest()


def _stored(path: Path) -> Features | None:
    """What was stored; None where there is nothing that can be read."""
    try:
        features: Features = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, EOFError) as error:
        console.print(f"{path}: cannot be read ({error}); computed again", markup=False, soft_wrap=True)
        return None
    return features


def _store(path: Path, features: Features) -> None:
    """Written beside and renamed: another run never meets half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(prefix=".partial-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            np.save(file, features)
        Path(partial).replace(path)
    finally:
        Path(partial).unlink(missing_ok=True)
