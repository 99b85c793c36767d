"""The names of a model's classes.

They come in a handful of forms, all of which people have lying about. Nothing is guessed from a list of the wrong length: it belongs
to another model.
"""

import json
from collections import Counter
from importlib import resources
from pathlib import Path
from typing import Any

from exporter.errors import ExportError


def imagenet() -> list[str]:
    """The 1000 classes of ImageNet-1k (ILSVRC 2012) in the usual order: the first word of each WordNet synset.

    Names that would occur twice are told apart: "crane (bird)", "crane (machine)".
    """
    return (resources.files("exporter") / "data" / "imagenet.txt").read_text("utf-8").splitlines()


def named(choice: str, count: int) -> list[str]:
    """The labels of a model with `count` classes: `choice` is the word imagenet, or the path of a file (`read`).

    Raises ExportError when they are not `count` different ones.
    """
    if choice != "imagenet":
        return read(Path(choice), count)
    labels = imagenet()
    check(labels, count, choice)
    return labels


def read(path: Path, count: int | None = None) -> list[str]:
    """The labels of a model with `count` classes, in the order of its outputs; None: as many as the file has.

    The file is text with a label a line, or JSON: a list, an object by class number {"0": "tench"}, or Keras's {"0":
    ["n01440764", "tench"]}. Raises ExportError when it is none of these, or its labels are not `count` different ones.
    """
    try:
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise ExportError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ExportError(f"{path}: is not UTF-8 text: {error.reason} at byte {error.start}") from error
    labels = _from_json(path, text) if text.lstrip()[:1] in ("[", "{") else text.rstrip().splitlines()
    labels = [label.strip() for label in labels]
    check(labels, len(labels) if count is None else count, str(path))
    return labels


def check(labels: list[str], count: int, source: str) -> None:
    """Raises ExportError, naming `source`, unless `labels` are `count` different names."""
    empty = [str(number) for number, label in enumerate(labels, start=1) if not label]
    if empty:
        raise ExportError(f"{source}: label {', '.join(empty[:5])} of {len(labels)} is empty")
    if len(labels) != count:
        raise ExportError(f"{source}: has {len(labels)} labels, but the model answers {count} classes")
    twice = [f"{label!r}" for label, times in Counter(labels).items() if times > 1]
    if twice:
        raise ExportError(f"{source}: {', '.join(twice)} occurs more than once; tell the classes apart")


def _from_json(path: Path, text: str) -> list[str]:
    try:
        found: Any = json.loads(text)
    except json.JSONDecodeError as error:
        raise ExportError(f"{path}: looks like JSON, but is not: {error}") from error
    if isinstance(found, dict):
        numbers = [str(number) for number in range(len(found))]
        if set(found) != set(numbers):
            raise ExportError(f'{path}: its keys must be the class numbers "0" to "{len(found) - 1}", each once')
        found = [found[number] for number in numbers]
    labels = [entry[1] if _is_synset(entry) else entry for entry in found]
    if not all(isinstance(label, str) for label in labels):
        raise ExportError(f"{path}: a label must be a string, or [identifier, string]")
    return labels


def _is_synset(entry: object) -> bool:
    """Whether it is ["n01440764", "tench"], as Keras's imagenet_class_index.json has it."""
    return isinstance(entry, list) and len(entry) == 2
