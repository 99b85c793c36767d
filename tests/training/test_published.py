"""MNIST, Fashion-MNIST and CIFAR-10: every form they are published in is read, and what is not whole is refused."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.training import publish
from training.data import cifar10, fashion, idx, mnist
from training.data.published import IDX, Part
from training.errors import DataError, RecipeError


@pytest.mark.parametrize(
    "make",
    [publish.npz, lambda folder: publish.idx(folder, packed=True), lambda folder: publish.idx(folder, packed=False)],
)
def test_mnist_is_the_same_from_every_form(make: Callable[[Path], Path], tmp_path: Path) -> None:
    learn, test = mnist.parts(make(tmp_path))
    for part, count, seed in ((learn, 60, 0), (test, 20, 1)):
        pictures, labels = publish.pictures(count, (28, 28), seed)
        np.testing.assert_array_equal(part.pictures, pictures)
        np.testing.assert_array_equal(part.labels, labels)
        assert part.labels.dtype == np.int64


def test_cifar_planes_become_rgb_pictures(tmp_path: Path) -> None:
    learn, test = cifar10.parts(publish.cifar(tmp_path))
    assert (len(learn.labels), len(test.labels)) == (100, 20)
    pictures, labels = publish.pictures(20, (32, 32, 3), 5)
    np.testing.assert_array_equal(test.pictures, pictures)
    np.testing.assert_array_equal(test.labels, labels)


def test_validation_is_taken_from_the_training_part_evenly_and_the_test_part_stays(tmp_path: Path) -> None:
    data = mnist.Mnist(folder=str(publish.npz(tmp_path)), validation=20, seed=1)
    dataset = data.load()
    assert {name: len(split.labels) for name, split in dataset.splits.items()} == {
        "train": 40,
        "validation": 20,
        "test": 20,
    }
    np.testing.assert_array_equal(np.bincount(dataset.splits["validation"].labels), 2)
    np.testing.assert_array_equal(dataset.splits["test"].labels, np.arange(20) % 10)


def test_a_validation_split_that_leaves_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="leaves nothing to train on: there are 100 pictures"):
        cifar10.Cifar10(folder=str(publish.cifar(tmp_path)), validation=95, seed=1).load()


@pytest.mark.parametrize(
    ("loader", "parts", "where"),
    [
        ("mnist", mnist.parts, ("put mnist.npz, or train-images-idx3-ubyte", "into the folder")),
        ("cifar10", cifar10.parts, ("unpack cifar-10-binary.tar.gz in the folder", "cifar-10-batches-bin")),
        ("fashion_mnist", fashion.parts, ("apt-get install dataset-fashion-mnist",)),
    ],
)
def test_without_files_and_network_the_message_names_what_to_put_where(
    loader: str,
    parts: Callable[[Path], tuple[Part, Part]],
    where: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    def no_network() -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(f"keras.datasets.{loader}.load_data", no_network)
    with pytest.raises(DataError) as refusal:
        parts(tmp_path / "absent")
    for words in (*where, str(tmp_path / "absent"), "no route to host", "with a network"):
        assert words in str(refusal.value)


def test_what_keras_fetches_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    learn, test = publish.pictures(30, (32, 32, 3), 0), publish.pictures(10, (32, 32, 3), 1)
    fetched = tuple((pictures, labels[:, None]) for pictures, labels in (learn, test))  # Keras has labels in a column
    monkeypatch.setattr("keras.datasets.cifar10.load_data", lambda: fetched)
    part, _ = cifar10.parts(tmp_path)
    np.testing.assert_array_equal(part.pictures, learn[0])
    np.testing.assert_array_equal(part.labels, learn[1])


def test_a_pickled_cifar_is_refused_unread_with_the_form_to_get(tmp_path: Path) -> None:
    (tmp_path / "cifar-10-batches-py").mkdir()
    with pytest.raises(DataError, match=r"is pickled, and nothing is unpickled here; unpack cifar-10-binary\.tar\.gz"):
        cifar10.parts(tmp_path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-1],
        lambda content: content[:3],
        lambda content: b"\0\0\x0d" + content[3:],
        lambda content: b"\x1f\x8b" + content,
        lambda _: b"",
    ],
    ids=["cut off", "hardly begun", "of floats", "says it is gzipped", "empty"],
)
def test_a_damaged_idx_file_is_refused_by_name(damage: Callable[[bytes], bytes], tmp_path: Path) -> None:
    path = publish.idx(tmp_path, packed=False) / IDX[0]
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(
        DataError, match=rf"{IDX[0]}: (cannot be read|is not a whole IDX file).*put the whole file there"
    ):
        idx.read(path, 3)


def test_a_missing_one_of_the_four_files_is_named(tmp_path: Path) -> None:
    (publish.idx(tmp_path, packed=True) / f"{IDX[3]}.gz").unlink()
    with pytest.raises(DataError, match=rf"{IDX[3]}: cannot be read"):
        mnist.parts(tmp_path)


def test_pictures_and_labels_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    publish.idx(tmp_path, packed=False)
    publish.idx(tmp_path / "other", packed=False, learn=50)
    (tmp_path / "other" / IDX[1]).replace(tmp_path / IDX[1])
    with pytest.raises(DataError, match=r"is not N pictures of 28x28 bytes and N labels 0 to 9"):
        mnist.parts(tmp_path)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda path: path.unlink(), "cannot be read: No such file"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "no whole number of pictures"),
        (lambda path: path.write_bytes(b"\x0a" + path.read_bytes()[1:]), "labels 0 to 9"),
        (lambda path: path.write_bytes(b""), "is not N pictures"),
    ],
    ids=["missing", "cut off", "an eleventh label", "empty"],
)
def test_a_damaged_cifar_batch_is_refused(damage: Callable[[Path], object], reason: str, tmp_path: Path) -> None:
    damage(publish.cifar(tmp_path) / "cifar-10-batches-bin" / "test_batch.bin")
    with pytest.raises(DataError, match=reason):
        cifar10.parts(tmp_path)


def test_an_npz_of_something_else_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "mnist.npz", x=np.zeros(3))
    with pytest.raises(DataError, match=r"mnist\.npz: cannot be read"):
        mnist.parts(tmp_path)
