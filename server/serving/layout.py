"""Where the bundles lie below the folder of models.

<models>/<name>/<version>/    a repository of many models
<models>/<version>/           one model, as a volume or KServe's storage initialiser brings it to /mnt/models
<models>/manifest.json        one version of one model: version 1

Beside the versions of a model may lie what they are called: `server.serving.roles`.
"""

from pathlib import Path
from typing import NamedTuple

from bundle.manifest import MANIFEST


class Found(NamedTuple):
    """A folder that ought to be a bundle."""

    name: str
    version: int
    folder: Path


def find_bundles(models: Path, model_name: str) -> list[Found]:
    """Every bundle below `models`, by name and version; hidden folders are left alone.

    `model_name` is what the model is called where its name is not in the path; empty: as the folder is.
    """
    own_name = model_name or models.resolve().name
    if (models / MANIFEST).exists():
        return [Found(own_name, 1, models)]
    alone = [Found(own_name, version, folder) for version, folder in _versions(models)]
    return alone or sorted(
        Found(model.name, version, folder)
        for model in models.glob("*/")
        if not model.name.startswith(".")
        for version, folder in _versions(model)
    )


def home(models: Path, found: Found) -> Path:
    """The folder of the model that a version belongs to."""
    return models if found.folder == models else found.folder.parent


def _versions(model: Path) -> list[tuple[int, Path]]:
    folders = [folder for folder in model.glob("*/") if folder.name.isascii() and folder.name.isdecimal()]
    return sorted((int(folder.name), folder) for folder in folders if int(folder.name) > 0)
