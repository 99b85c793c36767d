"""The way for a person: one line of curl."""

import base64
import io
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from bench.server_process import RunningServer
from tests.contract.http.asking import ask, pixels, png
from tests.e2e.tools import needed


@pytest.fixture
def cat(tmp_path: Path) -> Path:
    """A picture file."""
    path = tmp_path / "cat.png"
    path.write_bytes(png(pixels()[0].repeat(20, 0).repeat(20, 1)))
    return path


def curl(*arguments: str) -> bytes:
    ran = subprocess.run(
        [needed("curl", package="curl"), "--silent", "--show-error", "--fail-with-body", *arguments],
        check=False,
        capture_output=True,
        timeout=60,
    )
    assert ran.returncode == 0, (ran.stderr, ran.stdout)
    return ran.stdout


def url(server: RunningServer, query: str = "", model: str = "shapes") -> str:
    return f"http://{server.http}/v1/models/{model}:classify?{query}"


def test_a_file_is_classified_in_one_line(server: RunningServer, cat: Path) -> None:
    reply = json.loads(curl("--data-binary", f"@{cat}", url(server, "top=3")))
    assert (reply["model"], reply["version"]) == ("shapes", 3)
    (result,) = reply["results"]
    assert sorted(each["label"] for each in result["predictions"]) == ["circle", "square", "star"]
    assert sum(each["probability"] for each in result["predictions"]) == pytest.approx(1, abs=1e-6)
    assert result["timings"]["batch_images"] == 1


@pytest.mark.parametrize("form", ["overlay", "heatmap"])
def test_the_picture_of_the_reason_goes_straight_into_a_file(server: RunningServer, cat: Path, form: str) -> None:
    out = cat.with_name("why.png")
    curl("--data-binary", f"@{cat}", "-H", "accept: image/png", "-o", str(out), url(server, f"explain={form}"))
    with Image.open(out) as picture:
        assert (picture.format, picture.size) == ("PNG", (320, 240))


def test_several_files_of_a_form_are_answered_in_their_order_and_a_bad_one_in_its_place(
    server: RunningServer, cat: Path
) -> None:
    notes = cat.with_name("notes.txt")
    notes.write_text("no picture")
    files = [f"image=@{cat}", f"image=@{notes}", f"other=@{cat}"]
    form = [word for file in files for word in ("-F", file)]
    first, second, third = json.loads(curl(*form, url(server)))["results"]
    assert first["predictions"] == third["predictions"]
    assert second["status"] == 400
    assert "not a picture that can be read" in second["error"]
    assert "predictions" not in second


def test_two_classes_are_explained_by_a_chosen_method(server: RunningServer, cat: Path) -> None:
    reply = json.loads(curl("--data-binary", f"@{cat}", url(server, "class=red&class=tall&method=layercam", "traits")))
    explained = reply["results"][0]["explanations"]
    assert [(each["label"], each["method"]) for each in explained] == [("red", "layercam"), ("tall", "layercam")]
    assert all(set(each["grid"]) == {"values", "left", "top", "right", "bottom"} for each in explained)


def test_pictures_in_json_are_base64(server: RunningServer, cat: Path) -> None:
    accepting = ("-H", "accept: application/json")
    reply = json.loads(curl("--data-binary", f"@{cat}", *accepting, url(server, "explain=overlay")))
    picture = Image.open(io.BytesIO(base64.b64decode(reply["results"][0]["explanations"][0]["png"])))
    assert picture.size == (320, 240)


def test_a_version_can_be_named_in_the_query_or_in_the_path(server: RunningServer, cat: Path) -> None:
    by_path = f"http://{server.http}/v1/models/shapes/versions/1:classify"
    replies: list[Any] = [
        json.loads(curl("--data-binary", f"@{cat}", each)) for each in (url(server, "version=1"), by_path)
    ]
    assert [reply["version"] for reply in replies] == [1, 1]


WRONG = {
    "top=0": "query: Expected `int` >= 1 - at `$.top`",
    "top=many": "query: Expected `int`, got `str` - at `$.top`",
    "top=1&top=2": "query: top is given 2 times",
    "tpo=3": "query: Object contains unknown field `tpo`",
    "explain=everything": "query: Invalid enum value 'everything' - at `$.explain`",
    "version=-1": "version: '-1'; a version is a positive number, or a label of up to 63 letters, digits, `_`, `.`, `-` that begins with a "
    "letter; leave it out for the default one",
}


@pytest.mark.parametrize("query", WRONG)
def test_a_wrong_option_is_named(server: RunningServer, query: str) -> None:
    answer = ask(server.http, "POST", f"/v1/models/shapes:classify?{query}", png(pixels()[0]))
    assert (answer.status, answer.error) == (400, WRONG[query])


BOUNDARY = "multipart/form-data; boundary=x"
WRONG_FORMS = {
    "no boundary": (b"", "multipart/form-data", "content-type: multipart/form-data without a boundary"),
    "empty": (b"", BOUNDARY, "the form is broken: it ends too early"),
    "not a form": (b"hello", BOUNDARY, "the form is broken: "),
    "cut off": (
        b'--x\r\ncontent-disposition: form-data; name="a"; filename="a"\r\n\r\nabc',
        BOUNDARY,
        "the form is broken: it ends too early",
    ),
    "a field": (
        b'--x\r\ncontent-disposition: form-data; name="top"\r\n\r\n3\r\n--x--\r\n',
        BOUNDARY,
        "form: field 'top' is not a file; options go into the query string",
    ),
    "a thousand empty files and one": (
        b'--x\r\ncontent-disposition: form-data; name="a"; filename="a"\r\n\r\n\r\n' * 1001 + b"--x--\r\n",
        BOUNDARY,
        "form: more than 1,000 files; send less at a time",
    ),
}


@pytest.mark.parametrize("case", WRONG_FORMS)
def test_a_broken_form_is_refused_with_its_reason(server: RunningServer, case: str) -> None:
    body, content_type, reason = WRONG_FORMS[case]
    answer = ask(server.http, "POST", "/v1/models/shapes:classify", body, content_type=content_type)
    assert answer.status == 400
    assert reason in answer.error


@pytest.mark.parametrize("query", ["", "explain=grid", "explain=overlay&class=star&class=circle"])
def test_who_takes_only_a_picture_is_told_when_there_is_none(server: RunningServer, query: str) -> None:
    answer = ask(server.http, "POST", f"/v1/models/shapes:classify?{query}", png(pixels()[0]), accept="image/png")
    assert answer.status == 406
    assert "explain=overlay" in answer.error


def test_a_browser_that_takes_pictures_among_others_gets_json_when_there_is_none(server: RunningServer) -> None:
    accepted = "text/html,image/png,*/*;q=0.8"
    answer = ask(server.http, "POST", "/v1/models/shapes:classify", png(pixels()[0]), accept=accepted)
    assert answer.headers["content-type"] == "application/json"
