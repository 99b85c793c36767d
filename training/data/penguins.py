"""Palmer Archipelago penguins: bill, flipper and weight of 342 birds of three species (Horst, Hill and Gorman, 2020; CC0).

Read from the table that the package palmerpenguins brings along, without importing it: it would start pandas.
"""

import csv
from importlib import util
from pathlib import Path
from typing import Annotated, ClassVar

import msgspec
import numpy as np

from bundle import strict
from bundle.manifest import Positive
from training.arrays.material import Labelled, divided
from training.errors import DataError

COLUMNS = ("bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g")
MISSING = "NA"


class Penguins(strict.Document, frozen=True, tag_field="name", tag="penguins"):
    """Recipe keys of the penguins; what is in neither validation nor test is trained on."""

    validation: Positive
    test: Positive
    seed: Annotated[int, msgspec.Meta(ge=0)]  # of the division into splits

    labels: ClassVar[list[str]] = ["Adelie", "Chinstrap", "Gentoo"]

    def load(self) -> Labelled:
        """Measurements float32 [N, 4], in the order of COLUMNS, and species; birds that were not measured are left out.

        Raises DataError when the package is not installed, RecipeError when nothing is left to train on.
        """
        with _table().open(newline="", encoding="utf-8") as file:
            birds = [row for row in csv.DictReader(file) if MISSING not in [row[column] for column in COLUMNS]]
        measurements = np.array([[row[column] for column in COLUMNS] for row in birds], np.float32)
        species = np.array([self.labels.index(row["species"]) for row in birds], np.int64)
        return Labelled("penguins", self.labels, divided(measurements, species, self.validation, self.test, self.seed))


def _table() -> Path:
    package = util.find_spec("palmerpenguins")
    if package is None or package.origin is None:
        raise DataError("the penguins are not on this machine: pip install palmerpenguins")
    return Path(package.origin).with_name("data") / "penguins.csv"
