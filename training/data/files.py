"""Picture files: read by the code that reads pictures in the server, and left out, with a word, where they are none.

All are decoded once before anything else is done, so that a broken one does not end an hour of training, and so that a
split by share divides what can be read. A decoder that may stop at 64 pixels is quick about it.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bundle import preprocess
from bundle.errors import PictureError
from bundle.preprocess import PreprocessSpec
from training.data.dataset import Pictures, Split, SplitName, strata
from training.errors import DataError
from training.progress import bar, console

T = TypeVar("T")
LONGEST_SIDE = 4096  # of pictures that are shown or copied, not trained on
SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")
_SHOWN = 20  # of the files that are left out
_PROBE = 64  # pixels


@dataclass(frozen=True)
class Files(Pictures):
    """Picture files, read when asked for."""

    paths: list[Path]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Image.Image:
        return _read(self.paths[index], lambda data: preprocess.upright(data, LONGEST_SIDE))

    def pixels(self, index: int, spec: PreprocessSpec) -> NDArray[np.uint8]:
        """The picture as a model takes it: uint8 [H, W, C]. Raises DataError when the file is no whole picture."""
        return _read(self.paths[index], lambda data: preprocess.from_bytes(data, spec).pixels)


@dataclass(frozen=True)
class Listing:
    """Files and their labels: int64 [N], or [N, K] of 0 and 1 where a picture can have several."""

    paths: list[Path]
    labels: NDArray[np.int64]

    @property
    def split(self) -> Split:
        """The listing as a part of a data set."""
        return Split(Files(self.paths), self.labels)

    def only(self, members: NDArray[np.int64]) -> "Listing":
        """Some of them, by position."""
        return Listing([self.paths[member] for member in members], self.labels[members])


def folder(path: str, otherwise: str) -> Path:
    """The folder at `path`; raises DataError, with what to do `otherwise`, when there is none."""
    root = Path(path)
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; {otherwise}, or say where they are with --data DIR")
    return root


def is_divided(root: Path) -> bool:
    """Whether the pictures under `root` are in folders train, validation and test already."""
    return (root / "train").is_dir()


def readable(listing: Listing) -> Listing:
    """Those that can be read; the others are listed on stderr, each with its reason."""
    with bar() as progress, ThreadPoolExecutor() as pool:
        found = pool.map(_complaint, listing.paths)
        complaints = list(progress.track(found, total=len(listing.paths), description="looking at files"))
    wrong = [complaint for complaint in complaints if complaint]
    if wrong:
        console.print(f"left out {len(wrong)} of {len(complaints):,} files that cannot be read:")
    for complaint in wrong[:_SHOWN]:
        console.print(f"  {complaint}", soft_wrap=True, markup=False)
    if len(wrong) > _SHOWN:
        console.print(f"  and {len(wrong) - _SHOWN} more")
    return listing.only(np.flatnonzero([complaint is None for complaint in complaints]))


def divided(listing: Listing, labels: list[str], validation: float, test: float, seed: int) -> dict[SplitName, Listing]:
    """The listing in three parts, the shares `validation` and `test` of every class, at least one picture of each.

    Pictures with several labels go by the rarest of them. Raises DataError for a class of fewer than three pictures, where
    classes exclude each other.
    """
    classes = strata(listing.labels)
    random = np.random.default_rng(seed)
    parts: dict[SplitName, list[NDArray[np.int64]]] = {name: [] for name in SPLITS}
    for number, label in enumerate(labels):
        members = random.permutation(np.flatnonzero(classes == number))
        if len(members) < len(SPLITS) and listing.labels.ndim == 2:
            parts["train"].append(members)
            continue
        if len(members) < len(SPLITS):
            raise DataError(
                f"{label}: has {len(members)} pictures that can be read; to be divided into training, validation and test a "
                "class needs three"
            )
        held = [max(1, round(len(members) * share)) for share in (validation, test)]
        if sum(held) >= len(members):
            raise DataError(f"{label}: data.validation and data.test leave nothing of its {len(members)} pictures")
        parts["validation"].append(members[: held[0]])
        parts["test"].append(members[held[0] : sum(held)])
        parts["train"].append(members[sum(held) :])
    return {name: listing.only(np.sort(np.concatenate(members))) for name, members in parts.items()}


def _complaint(path: Path) -> str | None:
    try:
        _read(path, lambda data: preprocess.upright(data, _PROBE))
    except DataError as error:
        return str(error)
    return None


def _read(path: Path, decode: Callable[[bytes], T]) -> T:
    try:
        return decode(path.read_bytes())
    except (OSError, PictureError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
