"""`python -m client classify`: what it prints, writes and returns."""

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from client.__main__ import INTERRUPTED, SHEET, cli
from tests.client.fake import SLOW, picture
from tests.client.shell import Server, classify, json_lines, message


def test_the_table_has_file_answer_probability_and_milliseconds(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = classify(server, picture(Path(), "sky.png", "#0000ff"))
    assert result.exit_code == 0
    heading, row = (line for line in result.stdout.splitlines() if "answer" in line or "sky.png" in line)
    columns = ["file", "answer", "probability", "decode", "queue", "infer", "render", "total"]
    assert [cell.strip() for cell in heading.strip("┃ ").split("┃")] == columns
    cells = [cell.strip() for cell in row.strip("│ ").split("│")]
    assert cells == ["sky.png", "blue", "1.0000", "1.0", "0.0", "2.0", "0.0", "3.1"]
    assert result.stderr == "1 picture, 0 failed\n"


def test_further_classes_are_shown_when_asked_for(server: Server, tmp_path: Path) -> None:
    result = classify(server, picture(tmp_path, "a.png", "#804020"), "--top", "3")
    assert "green 0.2510  blue 0.1255" in result.stdout


def test_json_lines_carry_everything_that_is_known(server: Server, tmp_path: Path) -> None:
    result = classify(server, picture(tmp_path, "a.png", "#ff0000"), "--json", "--explain")
    (line,) = json_lines(result)
    assert line["predictions"] == [{"label": "red", "class_index": 0, "probability": 1.0}]
    assert line["explanations"] == [
        {"label": "red", "class_index": 0, "probability": 1.0, "hottest": [2.0, 9.0]},
    ]
    assert line["timings"]["batch_images"] == 2
    assert (line["truth"], line["correct"], line["error"]) == (None, None, None)


def test_csv_has_a_column_for_each_class_and_its_probability(server: Server, tmp_path: Path) -> None:
    picture(tmp_path, "a,b.png", "#804020")
    (tmp_path / "c.png").write_text("hello")
    result = classify(server, tmp_path, "--csv", "--top", "2")
    assert result.exit_code == 1
    assert list(csv.reader(result.stdout.splitlines())) == [
        ["file", "model", "version", "class_1", "probability_1", "class_2", "probability_2", "error"],
        [str(tmp_path / "a,b.png"), "colours", "3", "red", "0.501961", "green", "0.25098", ""],
        [str(tmp_path / "c.png"), "colours", "3", "", "", "", "", "INVALID_ARGUMENT: no picture: b'hello'"],
    ]


def test_csv_has_the_truth_if_it_is_known_and_no_more_classes_than_the_model(server: Server, tmp_path: Path) -> None:
    picture(tmp_path, "a.png", "red")
    picture(tmp_path, "b.png", "blue")
    truth = tmp_path / "truth.csv"
    truth.write_text("file,label\na.png,red\n")
    result = classify(server, tmp_path, "--csv", "--top", "9", "--truth", truth)
    first, second = csv.DictReader(result.stdout.splitlines())
    assert (first["truth"], first["class_1"], first["class_3"]) == ("red", "red", "blue")
    assert (second["truth"], second["class_1"]) == ("", "blue")
    assert "class_4" not in first


def test_a_version_can_be_named_by_its_label(server: Server, tmp_path: Path) -> None:
    result = classify(server, picture(tmp_path, "a.png", "red"), "--json", "--version", "best")
    assert [line["version"] for line in json_lines(result)] == [3]
    refused = classify(server, picture(tmp_path, "b.png", "red"), "--version", "worst")
    assert refused.exit_code == 1
    assert "no label 'worst'; there is best" in message(refused)


def test_one_version_answers_for_all_pictures(server: Server, tmp_path: Path) -> None:
    result = classify(server, picture(tmp_path, "a.png", "red"), "--json")
    assert [request.version for request in server[0].requests] == [3]
    assert [(line["model"], line["version"]) for line in json_lines(result)] == [("colours", 3)]


def test_overlays_that_cannot_be_written_are_one_line_with_the_reason(server: Server, tmp_path: Path) -> None:
    path = picture(tmp_path, "a.png", "red")
    result = classify(server, path, "--explain", "--out", path)
    assert result.exit_code == 1
    assert result.stderr == f"error: cannot write into {path}: File exists\n"


def test_a_bad_file_among_good_ones_is_one_row_and_exit_status_1(server: Server, tmp_path: Path) -> None:
    good, text = picture(tmp_path, "a.png", "red"), tmp_path / "b.png"
    text.write_text("hello")
    missing = tmp_path / "c.png"
    result = classify(server, good, text, missing)
    assert result.exit_code == 1
    assert "INVALID_ARGUMENT: no picture: b'hello'" in result.stdout
    assert "cannot read the file: No such file or directory" in result.stdout
    assert result.stderr == "3 pictures, 2 failed\n"


def test_when_a_whole_batch_fails_each_file_still_gets_its_own_reason(server: Server, tmp_path: Path) -> None:
    for name in ("one", "two", "three"):
        (tmp_path / f"{name}.png").write_text(name)
    result = classify(server, tmp_path, "--json")
    assert [line["error"]["message"] for line in json_lines(result)] == [
        "no picture: b'one'",
        "no picture: b'three'",
        "no picture: b'two'",
    ]
    assert {line["error"]["code"] for line in json_lines(result)} == {"INVALID_ARGUMENT"}


def test_pictures_go_in_batches_and_come_back_in_order(server: Server, tmp_path: Path) -> None:
    colours = ["red", "lime", "blue"]
    for number in range(23):
        picture(tmp_path, f"{number:02}.png", colours[number % 3], (2, 2))
    result = classify(server, tmp_path, "--json", "--batch", "4", "--concurrency", "3")
    answers = [line["predictions"][0]["label"] for line in json_lines(result)]
    assert answers == [{"lime": "green"}.get(colours[n % 3], colours[n % 3]) for n in range(23)]
    assert sorted(len(request.images) for request in server[0].requests) == [3, 4, 4, 4, 4, 4]


def test_overlays_are_named_after_picture_and_class_and_never_overwrite_each_other(
    server: Server, tmp_path: Path
) -> None:
    inputs = [picture(tmp_path, name, "red") for name in ("x/a.png", "y/a.png", "y/A.jpg")]
    out = tmp_path / "out"
    result = classify(server, *inputs, "--explain", "--out", out, "--json")
    paths = [line["explanations"][0]["path"] for line in json_lines(result)]
    assert paths == [str(out / name) for name in ("a.red.png", "a.red-2.png", "A.red-3.png")]
    assert all(Path(path).read_bytes().startswith(b"\x89PNG") for path in paths)
    assert {path.name for path in out.iterdir()} == {"a.red.png", "a.red-2.png", "A.red-3.png", SHEET}
    with Image.open(out / SHEET) as sheet:
        assert sheet.format == "PNG"


def test_a_class_can_be_explained_instead_of_the_answer(server: Server, tmp_path: Path) -> None:
    path = picture(tmp_path, "a.png", "#ff8000")
    result = classify(server, path, "--class", "green", "--class", "blue", "--json")
    (line,) = json_lines(result)
    assert [(each["label"], each["hottest"]) for each in line["explanations"]] == [
        ("green", [2.0, 9.0]),
        ("blue", None),
    ]
    table = classify(server, path, "--class", "green", "--class", "blue").stdout
    assert "green: x 2, y 9" in table
    assert "blue: none" in table


def test_the_truth_marks_errors_and_gives_the_accuracy(server: Server, tmp_path: Path) -> None:
    for name, colour in (("a.png", "red"), ("sub/b.png", "blue"), ("c.png", "lime")):
        picture(tmp_path, name, colour)
    truth = tmp_path / "truth.csv"
    truth.write_text("file,label\na.png,red\nsub/b.png,red\n")
    result = classify(server, tmp_path, "--truth", truth)
    assert result.exit_code == 0
    assert "blue ✗" in result.stdout
    assert result.stderr == "3 pictures, 0 failed, accuracy 0.5000 (1 of 2)\n"
    lines = json_lines(classify(server, tmp_path, "--truth", truth, "--json"))
    assert [(line["truth"], line["correct"]) for line in lines] == [("red", True), (None, None), ("red", False)]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--out", "out"], "needs --explain"),
        (["--class", "purple"], "purple: not a class of colours; there are: red, green, blue"),
        (["--method", "hirescam"], "hirescam: colours explains by gradcam, layercam"),
        (["--truth", "no.csv"], "no.csv: No such file or directory"),
        (["--top", "0"], "--top"),
        (["--csv", "--json"], "there is --json too; take one of them"),
        (["--csv", "--explain"], "has no column for evidence; add --out for overlays, or take --json"),
    ],
)
def test_bad_options_are_usage_errors_that_name_the_value(
    server: Server, tmp_path: Path, arguments: list[str], expected: str
) -> None:
    result = classify(server, picture(tmp_path, "a.png", "red"), *arguments)
    assert result.exit_code == 2
    assert expected in message(result)
    assert server[0].requests == []


def test_a_truth_table_without_its_columns_is_a_usage_error(server: Server, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("name,label\n")
    result = classify(server, picture(tmp_path, "a.png", "red"), "--truth", table)
    assert result.exit_code == 2
    assert "no column file" in message(result)


def test_a_wrong_model_name_is_one_line_with_the_servers_message(server: Server, tmp_path: Path) -> None:
    result = classify(server, picture(tmp_path, "a.png", "red"), "--model", "animals")
    assert result.exit_code == 1
    assert result.stderr == f"error: {server[1]}: NOT_FOUND: no model 'animals'; there is colours\n"


def test_a_refused_model_is_one_line_with_its_reason(server: Server, tmp_path: Path) -> None:
    result = classify(server, picture(tmp_path, "a.png", "red"), "--model", "broken")
    assert result.exit_code == 1
    assert "broken version 1 is not in service: broken/1/model.onnx: changed since export" in result.stderr


def test_no_server_is_one_line_with_the_address_and_what_to_do(tmp_path: Path) -> None:
    command = ["classify", str(picture(tmp_path, "a.png", "red")), "--model", "colours", "--target", "127.0.0.1:1"]
    result = CliRunner().invoke(cli, command)
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: no service at 127.0.0.1:1; start a server with `python -m server --models DIR`")


def test_the_address_comes_from_the_environment(server: Server, tmp_path: Path) -> None:
    command = ["classify", str(picture(tmp_path, "a.png", "red")), "--model", "colours"]
    assert CliRunner().invoke(cli, command, env={"SEETHROUGH_TARGET": server[1]}).exit_code == 0


def test_ctrl_c_keeps_what_has_been_answered(server: Server, tmp_path: Path) -> None:
    picture(tmp_path, "a.png", "red")
    (tmp_path / "b.png").write_bytes(SLOW)
    command = [sys.executable, "-m", "client", "classify", str(tmp_path), "--model", "colours", "--target", server[1]]
    # One call at a time: with the second picture in work, the first has been answered.
    process = subprocess.Popen(
        [*command, "--batch", "1", "--concurrency", "1", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    server[0].stuck.wait()
    os.kill(process.pid, signal.SIGINT)
    rest, errors = process.communicate()
    assert json.loads(first)["predictions"][0]["label"] == "red"
    assert rest == ""
    assert process.returncode == INTERRUPTED
    assert errors == "interrupted after 1 of 2 pictures\n1 picture, 0 failed\n"
