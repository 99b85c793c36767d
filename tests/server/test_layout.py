"""Where bundles are looked for."""

from pathlib import Path

from server.serving.layout import find_bundles


def bundle(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "manifest.json").touch()
    return folder


def test_a_repository_has_names_and_versions(tmp_path: Path) -> None:
    folders = [bundle(tmp_path / place) for place in ("cats/2", "cats/10", "dogs/1")]
    found = find_bundles(tmp_path, "")
    assert found == [("cats", 2, folders[0]), ("cats", 10, folders[1]), ("dogs", 1, folders[2])]


def test_what_is_hidden_or_no_version_is_left_alone(tmp_path: Path) -> None:
    for place in (".git/1", "cats/.3.partial-x", "cats/0", "cats/-1", "cats/1a", "cats/\u0664"):
        bundle(tmp_path / place)
    (tmp_path / "notes.txt").touch()
    assert find_bundles(tmp_path, "") == []


def test_a_folder_of_versions_is_one_model_named_after_it_or_as_told(tmp_path: Path) -> None:
    folder = bundle(tmp_path / "cats/3")
    assert find_bundles(tmp_path / "cats", "") == [("cats", 3, folder)]
    assert find_bundles(tmp_path / "cats", "felines") == [("felines", 3, folder)]


def test_a_bundle_itself_is_version_1(tmp_path: Path) -> None:
    folder = bundle(tmp_path / "models")
    assert find_bundles(folder, "cats") == [("cats", 1, folder)]
