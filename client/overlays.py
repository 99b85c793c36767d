"""Where the evidence goes that a command asked for: files named after the pictures, or words."""

import re
from pathlib import Path

from client.pictures import Picture
from client.results import Explanation

_NOT_IN_NAMES = re.compile(r"[^\w-]+")


class OverlayFolder:
    """Writes overlays into one folder under names that differ from each other, whatever folders the pictures are from."""

    def __init__(self, folder: Path) -> None:
        """Makes `folder` if it is not there. Raises OSError."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._taken: set[str] = set()

    def save(self, picture: Picture, explanation: Explanation) -> Path:
        """Writes the explanation's PNG and returns where: cat.jpg explained as owl becomes cat.owl.png."""
        stem = picture.path.stem if picture.path else picture.name
        name = f"{stem}.{_NOT_IN_NAMES.sub('-', explanation.label)}"
        unique, number = name, 1
        while unique.lower() in self._taken:  # some file systems do not tell upper from lower case
            number += 1
            unique = f"{name}-{number}"
        self._taken.add(unique.lower())
        path = self.folder / f"{unique}.png"
        path.write_bytes(explanation.png or b"")
        return path


def hottest(explanation: Explanation) -> tuple[float, float] | None:
    """Centre of the strongest cell as (x, y) in pixels of the upright picture; None if there is no evidence."""
    grid, box = explanation.grid, explanation.box
    if grid is None or box is None or not grid.any():
        return None
    left, top, right, bottom = box
    row, column = divmod(int(grid.argmax()), grid.shape[1])
    return left + (column + 0.5) * (right - left) / grid.shape[1], top + (row + 0.5) * (bottom - top) / grid.shape[0]
