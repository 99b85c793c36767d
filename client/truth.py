"""What the pictures really show, from a table with the columns `file` and `label`."""

import csv
from pathlib import Path

from client.pictures import Picture


class Truth:
    """Labels by file: by the path relative to the table, and by the bare name for a table that was moved."""

    def __init__(self, table: Path) -> None:
        """Reads `table`, a CSV file. Raises ValueError when it has no such columns, and OSError."""
        self._folder = table.resolve().parent
        with table.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            missing = {"file", "label"} - set(rows.fieldnames or ())
            if missing:
                raise ValueError(f"{table}: no column {' and '.join(sorted(missing))}; found {rows.fieldnames}")
            self._labels = {row["file"]: row["label"] for row in rows}

    def of(self, picture: Picture) -> str | None:
        """The label of `picture`, None when the table does not say."""
        if picture.path is None:
            return None
        path = picture.path.resolve()
        relative = path.relative_to(self._folder).as_posix() if path.is_relative_to(self._folder) else path.name
        return self._labels.get(relative, self._labels.get(path.name))
