"""Keeps the pictures and answers of a share of calls, to label and train with later.

An observer of the serving layer: it only decides and hands over. A thread of its own writes, out of a queue that is bounded in pictures
and in bytes: where the disk does not keep up, is full or is gone, records are dropped and counted, and answers know nothing of it.
"""

import io
import logging
import threading
import time
from collections import deque
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray
from PIL import Image

from bundle.limits import FORMATS
from server.events import Events, ImagesRecorded
from server.evidence.calls import shown
from server.evidence.logs import Seldom
from server.evidence.records import Line, Prediction, Records
from server.evidence.sampling import chosen
from server.serving.observers import Observed

log = logging.getLogger(__name__)

_WAITING_IMAGES, _WAITING_BYTES = 1024, 64 << 20
_PREDICTIONS = 10
_COMPLAIN_SECONDS = 60.0
_LONGEST_ID = 128
_SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "GIF": ".gif", "BMP": ".bmp", "TIFF": ".tif"}


class _Item(Struct, frozen=True):
    """One picture with its answer. Holds no model: one that is unloaded is freed at once."""

    request_id: str
    at: datetime
    model: str
    version: int
    fingerprint: str
    labels: list[str]
    pixels: NDArray[np.uint8]  # [H, W, C]
    encoded: bytes | None
    probabilities: NDArray[np.float32]  # [K]

    @property
    def size_bytes(self) -> int:
        return self.pixels.nbytes if self.encoded is None else len(self.encoded)


class Recorder:
    """Call it with what was observed; `close` writes what is left."""

    def __init__(self, folder: Path, rate: float, max_bytes: int, processes: int, events: Events) -> None:
        """Raises OSError when the folder cannot be written to."""
        self._records = Records(folder, max_bytes, processes)
        self._rate = rate
        self._events = events
        self._seldom = Seldom(log, _COMPLAIN_SECONDS, time.monotonic)
        self._waiting: deque[_Item] = deque()
        self._waiting_bytes = 0
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._write_all, name="recorder", daemon=True)
        self._thread.start()

    def __call__(self, seen: Observed) -> None:
        """Called by the serving layer, in the event loop."""
        if not chosen(seen.request_id, self._rate):
            return
        at, model = datetime.now(UTC), seen.model
        of = (
            shown(seen.request_id, _LONGEST_ID),
            at,
            model.name,
            model.version,
            model.fingerprint.partition(" ")[0],
            model.manifest.labels,
        )
        for pixels, probabilities in zip(seen.pixels, seen.probabilities, strict=True):
            if not self._add(_Item(*of, pixels, seen.encoded, probabilities)):
                self._count("dropped")

    def close(self, seconds: float) -> None:
        """Writes what waits, for at most `seconds`; blocking."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(seconds)
        self._records.close()

    def _add(self, item: _Item) -> bool:
        with self._changed:
            if len(self._waiting) >= _WAITING_IMAGES or self._waiting_bytes + item.size_bytes > _WAITING_BYTES:
                return False
            self._waiting.append(item)
            self._waiting_bytes += item.size_bytes
            self._changed.notify()
            return True

    def _take(self) -> _Item | None:
        """The oldest item that waits, when there is one; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing)
            if not self._waiting:
                return None
            item = self._waiting.popleft()
            self._waiting_bytes -= item.size_bytes
            return item

    def _write_all(self) -> None:
        while (item := self._take()) is not None:
            try:
                self._write(item)
            except Exception as error:  # noqa: BLE001  told seldom, and counted always
                self._seldom.warning(f"a picture cannot be recorded: {error}")
                self._count("failed")
            else:
                self._count("ok")

    def _write(self, item: _Item) -> None:
        picture = _png(item.pixels) if item.encoded is None else item.encoded
        suffix = ".png" if item.encoded is None else _suffix(picture)
        best = np.argsort(-item.probabilities, kind="stable")[:_PREDICTIONS].tolist()
        predictions = [Prediction(item.labels[index], index, float(item.probabilities[index])) for index in best]
        line = Line(
            time=item.at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
            request_id=item.request_id,
            model=item.model,
            version=item.version,
            fingerprint=item.fingerprint,
            picture="",
            size_bytes=0,
            original=item.encoded is not None,
            label=predictions[0].label,
            confidence=predictions[0].probability,
            predictions=predictions,
        )
        self._records.write(line, picture, suffix, item.at)

    def _count(self, outcome: Literal["ok", "dropped", "failed"]) -> None:
        self._events.emit(ImagesRecorded(outcome, 1))


def _suffix(picture: bytes) -> str:
    """By its content: names that callers may have for it do not get here."""
    with Image.open(io.BytesIO(picture), formats=FORMATS) as image:
        return _SUFFIXES[image.format or ""]


def _png(pixels: NDArray[np.uint8]) -> bytes:
    """`pixels` [H, W, 1 or 3] as a PNG file."""
    out = io.BytesIO()
    Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(out, "PNG", compress_level=1)
    return out.getvalue()
