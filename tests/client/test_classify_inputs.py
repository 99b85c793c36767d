"""Which pictures `python -m client classify` takes: files, folders, patterns, lists, standard input."""

from pathlib import Path

import pytest
from typer.testing import Result

from tests.client.fake import picture
from tests.client.shell import Server, classify, json_lines, message


def files(result: Result) -> list[str]:
    return [line["file"] for line in json_lines(result)]


def test_a_folder_stands_for_the_pictures_in_it_at_any_depth_in_order(server: Server, tmp_path: Path) -> None:
    for name in ("b.png", "a.PNG", "deep/er/c.jpg"):
        picture(tmp_path, name, "red")
    (tmp_path / "notes.txt").write_text("not a picture")
    result = classify(server, tmp_path, "--json")
    assert result.exit_code == 0
    assert [line["file"] for line in json_lines(result)] == [
        str(tmp_path / name) for name in ("a.PNG", "b.png", "deep/er/c.jpg")
    ]


def test_a_dash_is_standard_input(server: Server, tmp_path: Path) -> None:
    result = classify(server, "-", "--json", stdin=picture(tmp_path, "a.png", "lime").read_bytes())
    (line,) = json_lines(result)
    assert (line["file"], line["predictions"][0]["label"]) == ("stdin", "green")


def test_a_folder_without_pictures_is_a_usage_error(server: Server, tmp_path: Path) -> None:
    result = classify(server, tmp_path)
    assert result.exit_code == 2
    assert "no pictures in this folder" in message(result)


def test_a_pattern_stands_for_the_files_that_it_matches(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("photos/b.jpg", "photos/deep/er/a.jpg", "photos/c.png"):
        picture(tmp_path, name, "red")
    (tmp_path / "photos/folder.jpg").mkdir()
    monkeypatch.chdir(tmp_path)
    assert files(classify(server, "photos/**/*.jpg", "--json")) == ["photos/b.jpg", "photos/deep/er/a.jpg"]
    assert files(classify(server, str(tmp_path / "photos/?.[jp]*g"), "--json")) == [
        str(tmp_path / "photos" / name) for name in ("b.jpg", "c.png")
    ]


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(server: Server, tmp_path: Path) -> None:
    path = picture(tmp_path, "a[1].png", "red")
    picture(tmp_path, "a1.png", "red")
    assert files(classify(server, path, "--json")) == [str(path)]


def test_a_file_that_is_named_twice_is_sent_once(server: Server, tmp_path: Path) -> None:
    path = picture(tmp_path, "a.png", "red")
    assert files(classify(server, path, tmp_path, tmp_path / "*.png", "--json")) == [str(path)]


def test_a_list_names_pictures_and_folders_after_those_of_the_command_line(server: Server, tmp_path: Path) -> None:
    first, second = picture(tmp_path, "a.png", "red"), picture(tmp_path, "b[*].png", "red")
    third = picture(tmp_path, "more/c.png", "red")
    names = f"{second}\r\n\n{third.parent}\n".encode()
    (tmp_path / "list.txt").write_bytes(names)
    expected = [str(path) for path in (first, second, third)]
    assert files(classify(server, first, "--files-from", tmp_path / "list.txt", "--json")) == expected
    assert files(classify(server, "--files-from", "-", "--json", stdin=names)) == expected[1:]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "name pictures, folders or patterns, - for standard input, or a list with --files-from"),
        (["*.jpg"], "*.jpg: no file matches this pattern"),
        (["--files-from", "no.txt"], "no.txt: No such file or directory"),
        (["--files-from", "-"], "-: no names in this list"),
        (["--files-from", "-", "-"], "standard input is either a list or a picture"),
    ],
)
def test_no_pictures_is_a_usage_error(server: Server, arguments: list[str], expected: str) -> None:
    result = classify(server, *arguments)
    assert result.exit_code == 2
    assert expected in message(result)
    assert server[0].requests == []
