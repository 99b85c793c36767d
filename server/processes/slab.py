"""Memory that a serving process shares with the engine process: slots for images on their way, and for their answers.

It is a memfd that the supervisor makes before either starts and both inherit, so it needs no name, no room in /dev/shm (64 MiB in a
container) and no cleaning up. It only ever grows, and is sealed so: a page that went away would end whoever touches it. Pages that no
image has touched cost nothing.
"""

import fcntl
import mmap
import os
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from bundle.manifest import Manifest
from server.serving.explain import MAX_TARGETS

_FLOAT = 4  # bytes


def create(name: str) -> int:
    """The file descriptor of a new, empty memory; `name` is for people who look at /proc."""
    memory = os.memfd_create(f"seethrough {name}", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    fcntl.fcntl(memory, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
    return memory


@dataclass(frozen=True)
class Slots:
    """The slots for the images of one model. One side writes pixels, the other one answers."""

    pixels: NDArray[np.uint8]  # [slots, H, W, C]
    probabilities: NDArray[np.float32]  # [slots, K]
    heatmaps: NDArray[np.float32]  # [slots, MAX_TARGETS, h, w]


def size_bytes(manifest: Manifest, slots: int) -> int:
    """How much memory `slots` slots for a model take, in whole pages."""
    pixels, *floats = _shapes(manifest, slots)
    size = _aligned(prod(pixels)) + _FLOAT * sum(map(prod, floats))
    return -(-size // mmap.ALLOCATIONGRANULARITY) * mmap.ALLOCATIONGRANULARITY


def slots_at(memory: int, offset: int, manifest: Manifest, slots: int) -> Slots:
    """The slots for a model at `offset` of a memory, which grows when it ends before them."""
    size = size_bytes(manifest, slots)
    if os.fstat(memory).st_size < offset + size:
        os.ftruncate(memory, offset + size)
    mapped = mmap.mmap(memory, size, offset=offset)
    pixels, probabilities, heatmaps = _shapes(manifest, slots)
    first = _aligned(prod(pixels))
    second = first + _FLOAT * prod(probabilities)
    return Slots(
        np.frombuffer(mapped, np.uint8, prod(pixels)).reshape(pixels),
        np.frombuffer(mapped, np.float32, prod(probabilities), first).reshape(probabilities),
        np.frombuffer(mapped, np.float32, prod(heatmaps), second).reshape(heatmaps),
    )


class Regions:
    """Which parts of a memory are taken. A part that was given back is taken again by what fits into it."""

    def __init__(self) -> None:
        self._end = 0
        self._free: list[tuple[int, int]] = []  # offset, size

    def take(self, size: int) -> tuple[int, int]:
        """Offset and size of a part of at least `size` bytes."""
        for part in sorted(self._free, key=lambda part: part[1]):
            if part[1] >= size:
                self._free.remove(part)
                return part
        part, self._end = (self._end, size), self._end + size
        return part

    def give_back(self, part: tuple[int, int]) -> None:
        """Nobody uses a part of `take` any more."""
        self._free.append(part)


def _shapes(manifest: Manifest, slots: int) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    feature_map = manifest.feature_map
    return (
        (slots, *manifest.input_shape),
        (slots, len(manifest.labels)),
        (slots, MAX_TARGETS, feature_map.height, feature_map.width),
    )


def _aligned(size: int) -> int:
    return -(-size // 64) * 64
