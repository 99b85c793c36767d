"""Pictures of one's own, a folder for each class: in folders train, validation and test, or divided by share."""

from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np

from bundle import strict
from bundle.manifest import Kind
from training.data import files
from training.data.dataset import Dataset
from training.data.files import SPLITS, Listing
from training.errors import DataError
from training.networks.parts import Share


class Folder(strict.Document, frozen=True, tag_field="name", tag="folder"):
    """Recipe keys of a folder of pictures: path/{train,validation,test}/LABEL/*, or path/LABEL/*."""

    path: str
    labels: Annotated[list[str], msgspec.Meta(min_length=2)]  # names of the folders of the classes, in their order
    validation: Share  # of each class, where there are no folders train, validation and test
    test: Share
    seed: Annotated[int, msgspec.Meta(ge=0)]  # of that division

    @property
    def kind(self) -> Kind:
        """One sigmoid tells two classes apart."""
        return "binary" if len(self.labels) == 2 else "multiclass"

    def load(self) -> Dataset:
        """Looks at the files. Raises DataError when the folder is not there or not of this form."""
        classes = f"{{{','.join(self.labels)}}}"
        root = files.folder(self.path, f"put the pictures in {self.path}/{{{','.join(SPLITS)}}}/{classes}/")
        if files.is_divided(root):
            parts = {name: files.readable(self._listed(root / name)) for name in SPLITS}
        else:
            listing = files.readable(self._listed(root))
            parts = files.divided(listing, self.labels, self.validation, self.test, self.seed)
        return Dataset("folder", self.kind, self.labels, {name: part.split for name, part in parts.items()})

    def _listed(self, folder: Path) -> Listing:
        found = classes_in(folder)
        if found != sorted(self.labels):
            raise DataError(f"{folder}: has the folders {found or 'none'}, data.labels asks for {sorted(self.labels)}")
        listed = [
            (path, label)
            for label, name in enumerate(self.labels)
            for path in sorted((folder / name).iterdir())
            if path.is_file() and not path.name.startswith(".")  # .DS_Store and its like
        ]
        return Listing([path for path, _ in listed], np.array([label for _, label in listed], np.int64))


def classes_in(folder: Path) -> list[str]:
    """The folders in `folder` by the alphabet; none where it is not there."""
    if not folder.is_dir():
        return []
    return sorted(each.name for each in folder.iterdir() if each.is_dir() and not each.name.startswith("."))
