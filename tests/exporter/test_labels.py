"""Files with the names of classes."""

import json
from pathlib import Path

import pytest

from exporter import labels
from exporter.errors import ExportError


def read(folder: Path, text: str, count: int = 3) -> list[str]:
    path = folder / "labels.txt"
    path.write_text(text, "utf-8")
    return labels.read(path, count)


@pytest.mark.parametrize(
    "text",
    [
        "cat\ndog\nemu\n",
        "\ufeffcat\r\ndog \r\nemu",
        '["cat", "dog", "emu"]',
        '{"0": "cat", "2": "emu", "1": "dog"}',
        '{"0": ["n01", "cat"], "1": ["n02", "dog"], "2": ["n03", "emu"]}',
    ],
)
def test_labels_come_as_lines_or_as_json(text: str, tmp_path: Path) -> None:
    assert read(tmp_path, text) == ["cat", "dog", "emu"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("cat\ndog\n", r"has 2 labels, but the model answers 3 classes"),
        ("cat\ndog\ncat\n", r"'cat' occurs more than once"),
        ("cat\n\ndog\n", r"label 2 of 3 is empty"),
        ("", r"has 0 labels"),
        ('["cat", 1, "emu"]', r"a label must be a string"),
        ('["cat", ', r"looks like JSON, but is not"),
        ('{"0": "cat", "1": "dog", "3": "emu"}', r'keys must be the class numbers "0" to "2"'),
        ('[["n01", 5], ["n02", "dog"], ["n03", "emu"]]', r"a label must be a string"),
    ],
)
def test_labels_that_cannot_be_are_refused_with_the_reason(text: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=told):
        read(tmp_path, text)


def test_a_file_that_is_not_there_or_not_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"missing: cannot be read"):
        labels.read(tmp_path / "missing", 3)
    (tmp_path / "latin").write_bytes("Löwe\n".encode("latin-1"))
    with pytest.raises(ExportError, match=r"latin: is not UTF-8 text"):
        labels.read(tmp_path / "latin", 1)


def test_the_classes_of_imagenet_are_a_thousand_different_names_in_the_usual_order() -> None:
    names = labels.imagenet()

    assert len({name.casefold() for name in names}) == len(names) == 1000
    assert (names[0], names[281], names[285], names[967], names[999]) == (
        "tench", "tabby", "Egyptian cat", "espresso", "toilet tissue"
    )  # fmt: skip
    assert (names[134], names[517]) == ("crane (bird)", "crane (machine)")
    assert json.dumps(names).isascii()
