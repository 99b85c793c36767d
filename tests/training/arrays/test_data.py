"""The data of the networks that classify no pictures."""

from pathlib import Path

import numpy as np
import pytest

from training import recipe
from training.arrays.image_to_image import noisy
from training.arrays.material import Labelled, fingerprint
from training.data import brackets
from training.data.brackets import Brackets, is_nested
from training.data.penguins import Penguins
from training.data.text import Text
from training.errors import DataError, RecipeError


def brackets_of(**changes: int) -> Labelled:
    keys = {"length": 12, "train": 200, "validation": 40, "test": 40, "seed": 1}
    return Brackets(**{**keys, **changes}).load()


def decoded(row: "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]") -> str:
    return row.tobytes().lstrip(b"\0").decode()


@pytest.mark.parametrize("text", ["()", "([]{})", "(((())))[]", ""])
def test_nested_brackets_are_known(text: str) -> None:
    assert is_nested(text)


@pytest.mark.parametrize("text", ["(", ")", "([)]", "(]", "())("])
def test_broken_brackets_are_known(text: str) -> None:
    assert not is_nested(text)


def test_every_label_of_the_brackets_is_the_truth_and_half_are_of_each() -> None:
    for rows, labels in brackets_of().splits.values():
        assert [is_nested(decoded(row)) for row in rows] == [bool(label) for label in labels]
        assert labels.sum() * 2 == len(labels)


def test_broken_brackets_cannot_be_told_by_counting() -> None:
    rows, labels = brackets_of().splits["train"]
    for text in (decoded(row) for row in rows[labels == 0]):
        assert all(text.count(opening) == text.count(closing) for opening, closing in brackets.PAIRS)


def test_no_sequence_of_brackets_is_in_two_splits() -> None:
    texts = [decoded(row) for rows, _ in brackets_of().splits.values() for row in rows]
    assert len(set(texts)) == len(texts)


def test_more_sequences_than_there_are_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"raise data\.length"):
        brackets_of(length=10, train=1_000_000)


def test_the_penguins_are_342_birds_with_equal_shares_of_each_species() -> None:
    data = Penguins(validation=51, test=70, seed=1).load()
    sizes = {name: len(labels) for name, (_, labels) in data.splits.items()}
    assert sizes == {"train": 221, "validation": 51, "test": 70}
    for rows, labels in data.splits.values():
        assert rows.dtype == np.float32
        assert rows.shape == (len(labels), 4)
        assert np.isfinite(rows).all()
        np.testing.assert_allclose(np.bincount(labels) / len(labels), [0.44, 0.2, 0.36], atol=0.03)


def test_too_few_birds_for_a_split_is_refused() -> None:
    with pytest.raises(RecipeError, match="without a row of each of 3 classes"):
        Penguins(validation=2, test=70, seed=1).load()


def test_penguins_that_are_not_installed_are_told_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(DataError, match="pip install palmerpenguins"):
        Penguins(validation=51, test=70, seed=1).load()


def text_of(path: Path, **changes: int) -> Text:
    keys = {"file": str(path), "length": 5, "stride": 3, "validation": 0.2, "test": 0.2, "seed": 0}
    return Text(**{**keys, **changes})  # type: ignore[arg-type]  # of several types


def test_each_character_of_a_window_has_the_one_that_follows(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("abcdefghijklmnopqrstuvwxyz" * 8)
    for inputs, targets in text_of(tmp_path / "text.txt").load().values():
        np.testing.assert_array_equal(inputs[:, 1:], targets[:, :-1])
        begun = inputs > 0
        follows = np.where(inputs == ord("z"), ord("a"), inputs + 1)
        np.testing.assert_array_equal(targets[begun], follows[begun])


def test_some_windows_begin_with_padding_so_that_short_prompts_are_known(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("abcdefghijklmnopqrstuvwxyz" * 8)
    inputs, _ = text_of(tmp_path / "text.txt").load()["train"]
    padded = inputs[:, 0] == 0
    assert 0 < padded.mean() < 0.25
    assert (inputs[:, -1] > 0).all()


def test_the_splits_of_a_text_do_not_overlap(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("".join(chr(33 + number // 2) for number in range(180)))
    splits = text_of(tmp_path / "text.txt", stride=1).load()
    highest = [max(inputs.max(), targets.max()) for inputs, targets in splits.values()]
    lowest = [inputs[inputs > 0].min() for inputs, _ in splits.values()]
    assert all(high <= low for high, low in zip(highest, lowest[1:], strict=False))


def test_without_a_file_the_text_is_the_reference_that_comes_with_python() -> None:
    keys = recipe.settings(recipe.load("python-text", []))["data"]
    del keys["name"]
    splits = Text(**keys).load()
    assert sum(len(inputs) for inputs, _ in splits.values()) > 5000
    assert b"Python" in splits["train"][0].tobytes()


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"short", "a longer text"), (b"\xff\xfe" * 500, "not text in UTF-8"), (None, "cannot be read: No such file")],
)
def test_a_text_that_cannot_be_learnt_from_is_refused(tmp_path: Path, content: bytes | None, reason: str) -> None:
    path = tmp_path / "text.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=reason):
        text_of(path).load()


def test_noise_has_the_deviation_that_was_asked_for_and_stays_a_picture() -> None:
    grey = np.full((3, 20, 20, 3), 128, np.uint8)
    shown = noisy(grey, 20.0, np.random.default_rng(0))
    assert shown.dtype == np.uint8
    assert np.std(shown.astype(np.float64)) == pytest.approx(20, rel=0.1)
    assert noisy(np.zeros_like(grey), 20.0, np.random.default_rng(0)).max() < 128
    assert noisy(grey, 0.0, np.random.default_rng(0)) is grey


def test_the_same_recipe_has_the_same_data() -> None:
    assert fingerprint(brackets_of().splits) == fingerprint(brackets_of().splits)
    assert fingerprint(brackets_of().splits) != fingerprint(brackets_of(seed=2).splits)
