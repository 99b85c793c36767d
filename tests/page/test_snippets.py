"""The lines to copy: run as they are, in a folder with the picture, they answer what the page shows."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench.server_process import RunningServer
from tests.contract.v2.ecosystem import program
from tests.e2e.tools import needed
from tests.page.browser import Visit
from tests.page.conftest import Look
from tests.page.pictures import jpeg

ROOT = Path(__file__).parents[2]
NAME = 'it\'s 100 % "me".jpg'  # what shells, printf and JSON each want to be careful with
PICTURE = jpeg()._replace(name=NAME)


@pytest.fixture
def dropped(look: Look) -> Visit:
    """A picture of that name, and the evidence for the class that is second, of the version labelled `canary`."""
    visit = look()
    visit.page.locator("#view-classify").get_by_label("Version").select_option("canary")
    visit.drop(PICTURE)
    visit.page.wait_for_selector('.stage .layers[aria-label*="100 %"][aria-label*="and the evidence for"]')
    visit.page.locator(".classes button").nth(1).click()
    visit.page.wait_for_selector(".classes li:nth-child(2) button[aria-pressed=true]")
    return visit


def snippet(visit: Visit, which: str) -> str:
    visit.page.get_by_role("button", name=which, exact=True).click()
    return visit.page.locator("pre").inner_text()


def shown(visit: Visit) -> dict[str, float]:
    """The classes and their shares, as the page shows them."""
    names = visit.page.locator(".classes .name").all_inner_texts()
    figures = visit.page.locator(".classes .figure").all_inner_texts()
    return {name.strip(): float(figure.removesuffix(" %")) / 100 for name, figure in zip(names, figures, strict=True)}


def run(command: list[str], folder: Path, path: str = "") -> str:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PATH": f"{path}:{os.environ['PATH']}"}
    ran = subprocess.run(command, cwd=folder, env=environment, check=False, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def check(found: dict[str, float], visit: Visit) -> None:
    assert found == pytest.approx(shown(visit), abs=1e-3)


def test_the_curl_line_works(dropped: Visit, tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(PICTURE.content)
    reply = json.loads(run([needed("bash", "bash"), "-c", snippet(dropped, "curl")], tmp_path))
    (result,) = reply["results"]
    assert reply["version"] == 3
    check({each["label"]: each["probability"] for each in result["predictions"]}, dropped)
    assert result["explanations"][0]["label"] == dropped.page.locator(".whose strong").inner_text()


def test_the_python_snippet_works(dropped: Visit, tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(PICTURE.content)
    out = run([sys.executable, "-c", snippet(dropped, "Python")], tmp_path)
    lines = re.findall(r"^ *([\d.]+)%  (.+)$", out, re.MULTILINE)
    check({label: float(figure) / 100 for figure, label in lines}, dropped)
    assert "[[" in out


def test_the_grpcurl_line_works(dropped: Visit, tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(PICTURE.content)
    folder = str(Path(program("grpcurl")).parent)
    reply = json.loads(run([needed("bash", "bash"), "-c", snippet(dropped, "grpcurl")], tmp_path, folder))
    (result,) = reply["results"]
    assert reply["version"] == "3"
    check({each["label"]: each["probability"] for each in result["predictions"]}, dropped)
    assert result["explanations"][0]["label"] == dropped.page.locator(".whose strong").inner_text()


def test_the_lines_for_a_sample_fetch_it_first(look: Look, server: RunningServer, tmp_path: Path) -> None:
    visit = look()
    visit.page.wait_for_selector('.stage .layers[aria-label*="sample-0.png, and the evidence for"]')
    for which, command in (("curl", [needed("bash", "bash"), "-c"]), ("Python", [sys.executable, "-c"])):
        folder = tmp_path / which
        folder.mkdir()
        out = run([*command, snippet(visit, which)], folder)
        assert visit.page.locator(".verdict strong").inner_text() in out
        assert (folder / "sample-0.png").stat().st_size > 100
