"""A text, cut into windows, of which the next character is to be told.

A text file of one's own, or the reference of the Python language: half a megabyte of English that comes with every Python
(pydoc_data, which `help()` reads), so that nothing has to be downloaded. Another version of Python has another text;
run.json has its fingerprint.

A character is a byte of UTF-8: whatever a client sends is a character that the network knows, and no alphabet has to travel with it.
"""

from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
from numpy.typing import NDArray

from bundle import strict
from bundle.manifest import Positive
from training.arrays.material import Splits
from training.errors import DataError

PADDING = 0  # before a text that is shorter than the window
_PADDED = 8  # one window in so many begins with padding, so that short prompts are known
_LEAST = 10  # windows of each split


class Text(strict.Document, frozen=True, tag_field="name", tag="text"):
    """Recipe keys of a text; what is in neither validation nor test, which are its end, is trained on."""

    file: str  # UTF-8 text; empty: the reference of the Python language
    length: Annotated[int, msgspec.Meta(ge=2, le=1000)]  # bytes of a window
    stride: Positive  # bytes from one window to the next
    validation: Annotated[float, msgspec.Meta(gt=0, lt=0.5)]  # share of the text
    test: Annotated[float, msgspec.Meta(gt=0, lt=0.5)]
    seed: Annotated[int, msgspec.Meta(ge=0)]  # of the padding

    def load(self) -> Splits:
        """Windows uint8 [N, length] and, for each of their bytes, the one that follows: uint8 [N, length].

        Raises DataError when the text cannot be read or is too short.
        """
        data = np.frombuffer(self._read(), np.uint8)
        ends = [round(len(data) * share) for share in (1 - self.validation - self.test, 1 - self.test)]
        parts = np.split(data, ends)
        needed = self.length + 1 + (_LEAST - 1) * self.stride
        if min(map(len, parts)) < needed:
            raise DataError(
                f"{self.file or 'the text'}: its parts have {', '.join(f'{len(part):,}' for part in parts)} bytes, at least "
                f"{needed:,} are needed in each; take a longer text or a smaller data.length"
            )
        random = np.random.default_rng(self.seed)
        train, validation, test = (self._windows(part, random) for part in parts)
        return {"train": train, "validation": validation, "test": test}

    def _read(self) -> bytes:
        if not self.file:
            return _reference().encode()
        try:
            return Path(self.file).read_text(encoding="utf-8").encode()
        except OSError as error:
            raise DataError(f"{self.file}: cannot be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise DataError(f"{self.file}: not text in UTF-8: {error.reason} at byte {error.start:,}") from error

    def _windows(
        self, data: NDArray[np.uint8], random: np.random.Generator
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        windows = np.lib.stride_tricks.sliding_window_view(data, self.length + 1)[:: self.stride].copy()
        for number in range(0, len(windows), _PADDED):
            windows[number, : random.integers(1, self.length)] = PADDING
        return windows[:, :-1], windows[:, 1:]


def _reference() -> str:
    try:
        from pydoc_data.topics import topics
    except ImportError as error:  # some distributions of Python leave it out
        raise DataError("this Python has no reference of the language; name a text file with data.file") from error
    return "\n\n".join(topics[name] for name in sorted(topics))
