"""Pictures to drop, and what the server says of them when it is asked without a browser."""

import io
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.server_process import RunningServer
from tests.contract.http.asking import ask
from tests.page.browser import File

WIDTH, HEIGHT = 320, 240


def jpeg(seed: int = 0) -> File:
    """Coloured blocks, 320 x 240."""
    blocks = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(blocks.repeat(20, 0).repeat(20, 1)).save(file, "JPEG", quality=95)
    return File(f"blocks-{seed}.jpg", "image/jpeg", file.getvalue())


NOTES = File("notes.txt", "text/plain", b"This is no picture.")


@dataclass(frozen=True)
class Said:
    """What the API says of a picture."""

    predictions: list[dict[str, Any]]
    grid: dict[str, Any]

    @property
    def label(self) -> str:
        """The most probable class."""
        return str(self.predictions[0]["label"])

    def hottest(self) -> tuple[float, float]:
        """Where the evidence is strongest: x and y as shares of the picture."""
        values = np.array(self.grid["values"])
        row, column = np.unravel_index(values.argmax(), values.shape)
        left, top, right, bottom = (self.grid[side] for side in ("left", "top", "right", "bottom"))
        x = left + (column + 0.5) * (right - left) / values.shape[1]
        y = top + (row + 0.5) * (bottom - top) / values.shape[0]
        return float(x / WIDTH), float(y / HEIGHT)


def said(server: RunningServer, picture: File, query: str = "") -> Said:
    """Asks the API about a picture, and for the evidence."""
    answer = ask(server.http, "POST", f"/v1/models/shapes:classify?top=10&explain=grid{query}", picture.content)
    (result,) = json.loads(answer.body)["results"]
    return Said(result["predictions"], result["explanations"][0]["grid"])


def around(shown: NDArray[np.float64], place: tuple[float, float]) -> NDArray[np.float64]:
    """The mean colour of some pixels there; `place` is x and y as shares."""
    height, width, _ = shown.shape
    x, y = int(place[0] * width), int(place[1] * height)
    part: NDArray[np.float64] = shown[max(0, y - 3) : y + 4, max(0, x - 3) : x + 4]
    return np.asarray(part.mean(axis=(0, 1)))
