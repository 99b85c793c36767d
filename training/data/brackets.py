"""Brackets that are nested correctly, or nearly: a question about sequences with a clear truth, as many as one likes.

An answer needs a memory: which brackets are open, and in which order. Counting does not help, for a broken sequence is a correct one
of which two brackets have changed places. Real text would have to be downloaded, or its truth be somebody's opinion.
"""

from typing import Annotated, ClassVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from bundle import strict
from bundle.manifest import Positive
from training.arrays.material import Labelled
from training.data.dataset import SplitName
from training.errors import RecipeError

CLOSED_BY = {"(": ")", "[": "]", "{": "}"}
PAIRS = list(CLOSED_BY.items())
PADDING = 0
SHORTEST = 8
_THROWS = 100  # of one sequence, before there seem to be too few different ones


class Brackets(strict.Document, frozen=True, tag_field="name", tag="brackets"):
    """Recipe keys of the brackets. No sequence is in two splits."""

    length: Annotated[
        int, msgspec.Meta(ge=SHORTEST + 2, le=1000)
    ]  # of the longest sequence; all have at least 8 brackets
    train: Positive
    validation: Positive
    test: Positive
    seed: Annotated[int, msgspec.Meta(ge=0)]

    labels: ClassVar[list[str]] = ["broken", "nested"]

    def load(self) -> Labelled:
        """Text as bytes, uint8 [N, length], shorter ones with zeros before them; every other one is nested correctly.

        Raises RecipeError when there are not as many different sequences.
        """
        random = np.random.default_rng(self.seed)
        sizes: dict[SplitName, int] = {"train": self.train, "validation": self.validation, "test": self.test}
        seen: set[str] = set()
        splits = {}
        for name, size in sizes.items():
            labels = np.arange(size, dtype=np.int64) % 2
            texts = [self._fresh(random, bool(label), seen) for label in labels]
            splits[name] = np.stack([encoded(text, self.length) for text in texts]), labels
        return Labelled("brackets", self.labels, splits)

    def _fresh(self, random: np.random.Generator, correct: bool, seen: set[str]) -> str:
        """A sequence that is not among `seen`, to which it is added."""
        for _ in range(_THROWS):
            text = nested(random, 2 * int(random.integers(SHORTEST // 2, self.length // 2 + 1)))
            text = text if correct else broken(random, text)
            if text not in seen:
                seen.add(text)
                return text
        raise RecipeError(f"there are hardly so many different sequences of up to {self.length}; raise data.length")


def encoded(text: str, length: int) -> NDArray[np.uint8]:
    """The last `length` bytes of `text`, zeros before them where it is shorter: uint8 [length]."""
    data = np.frombuffer(text.encode()[-length:], np.uint8)
    return np.concatenate([np.full(length - len(data), PADDING, np.uint8), data])


def nested(random: np.random.Generator, length: int) -> str:
    """A sequence of `length`, an even number, in which every bracket is closed by its own kind, the last opened first."""
    text, missing = "", ""
    while len(text) < length:
        room = length - len(text)
        if len(missing) < room and (not missing or random.random() < 0.5):
            pair = PAIRS[random.integers(len(PAIRS))]
            text, missing = text + pair[0], pair[1] + missing
        else:
            text, missing = text + missing[0], missing[1:]
    return text


def broken(random: np.random.Generator, text: str) -> str:
    """`text`, correctly nested, with two brackets exchanged so that it no longer is."""
    while True:
        first, second = np.sort(random.choice(len(text), 2, replace=False))
        changed = text[:first] + text[second] + text[first + 1 : second] + text[first] + text[second + 1 :]
        if not is_nested(changed):
            return changed


def is_nested(text: str) -> bool:
    """Whether every bracket is closed by its own kind, the last opened first."""
    missing: list[str] = []
    for bracket in text:
        if bracket in CLOSED_BY:
            missing.append(CLOSED_BY[bracket])
        elif not missing or missing.pop() != bracket:
            return False
    return not missing
