"""`python -m client models`."""

import json

from typer.testing import CliRunner

from client.__main__ import cli
from tests.client.fake import FakeServer

Server = tuple[FakeServer, str]


def test_the_table_shows_what_runs_and_why_the_rest_does_not(server: Server) -> None:
    result = CliRunner().invoke(cli, ["models", "--target", server[1]])
    assert result.exit_code == 0
    rows = {
        cells[0]: cells[1:]
        for line in result.stdout.splitlines()
        if len(cells := [cell.strip() for cell in line.strip("│").split("│")]) == 12
    }
    assert rows["colours"] == [
        "3",
        "serving",
        "yes",
        "best",
        "fake",
        "fp32",
        "cpu",
        "8x8x3",
        "3",
        "gradcam, layercam",
        "",
    ]
    assert rows["broken"] == [
        "1",
        "refused",
        "",
        "",
        "",
        "",
        "",
        "",
        "",
        "",
        "broken/1/model.onnx: changed since export",
    ]


def test_json_has_one_object_per_version(server: Server) -> None:
    result = CliRunner().invoke(cli, ["models", "--json", "--target", server[1]])
    colours, broken = (json.loads(line) for line in result.stdout.splitlines())
    assert colours["labels"] == ["red", "green", "blue"]
    assert (broken["state"], broken["reason"]) == ("refused", "broken/1/model.onnx: changed since export")


def test_no_server_is_one_line_and_exit_status_1() -> None:
    result = CliRunner().invoke(cli, ["models", "--target", "127.0.0.1:1"])
    assert result.exit_code == 1
    assert result.stderr.startswith("error: no service at 127.0.0.1:1; ")
