"""Small data sets in the formats that the large ones are published in, for tests."""

import gzip
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.data.cifar10 import BATCHES, BINARY, TEST
from training.data.published import IDX

Pictures = NDArray[np.uint8]
Labels = NDArray[np.uint8]


def pictures(count: int, shape: tuple[int, ...], seed: int) -> tuple[Pictures, Labels]:
    """`count` pictures of noise, and the ten labels in turns."""
    noise = np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)
    return noise, (np.arange(count) % 10).astype(np.uint8)


def npz(folder: Path, learn: int = 60, test: int = 20) -> Path:
    """mnist.npz as Keras publishes it."""
    folder.mkdir(parents=True, exist_ok=True)
    (x_train, y_train), (x_test, y_test) = pictures(learn, (28, 28), 0), pictures(test, (28, 28), 1)
    np.savez_compressed(folder / "mnist.npz", x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    return folder


def idx(folder: Path, packed: bool, learn: int = 60, test: int = 20) -> Path:
    """The four IDX files, gzipped or not."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = [*pictures(learn, (28, 28), 0), *pictures(test, (28, 28), 1)]
    for name, array in zip(IDX, arrays, strict=True):
        content = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()
        path = folder / (f"{name}.gz" if packed else name)
        path.write_bytes(gzip.compress(content) if packed else content)
    return folder


def cifar(folder: Path, each: int = 20) -> Path:
    """The binary version of CIFAR-10: five batches and the test batch."""
    (folder / BINARY).mkdir(parents=True)
    for seed, name in enumerate((*BATCHES, TEST)):
        noise, labels = pictures(each, (32, 32, 3), seed)
        planes = noise.transpose(0, 3, 1, 2).reshape(each, -1)
        (folder / BINARY / name).write_bytes(np.concatenate([labels[:, None], planes], axis=1).tobytes())
    return folder


def folders(root: Path, labels: tuple[str, ...], each: int = 3, size: tuple[int, int] = (20, 16)) -> Path:
    """root/{train,validation,test}/LABEL/N.png."""
    dice = np.random.default_rng(0)
    for split in ("train", "validation", "test"):
        for label in labels:
            (root / split / label).mkdir(parents=True)
            for number in range(each):
                noise = dice.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
                Image.fromarray(noise).save(root / split / label / f"{number}.png")
    return root
