"""When something is wrong, the page says so in words, and goes on when it is right again."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bench.server_process import serving
from tests.certificates import Authority
from tests.contract import guarded
from tests.page.browser import visiting
from tests.page.conftest import Look
from tests.page.pictures import NOTES, jpeg

if TYPE_CHECKING:
    from playwright.sync_api import Browser

EVIDENCE = '.stage .layers[aria-label*="and the evidence for"]'


def test_a_text_file_gets_the_servers_own_words_and_a_picture_after_it_its_answer(look: Look) -> None:
    visit = look()
    visit.page.wait_for_selector(EVIDENCE)
    visit.drop(NOTES)
    problem = visit.page.locator(".answer .problem")
    problem.filter(has_text="not a picture that can be read").wait_for()
    assert visit.page.locator(".verdict").count() == 0
    assert [error for error in visit.errors if "400 (Bad Request)" not in error] == []
    visit.errors.clear()
    visit.drop(jpeg())
    visit.page.wait_for_selector(EVIDENCE)
    assert not problem.is_visible()


def test_a_file_name_with_markup_stays_text(look: Look) -> None:
    visit = look()
    visit.drop(jpeg()._replace(name="<img src=x onerror=alert(1)>.jpg"))
    visit.page.wait_for_selector(f'{EVIDENCE[:-1]}][aria-label*="onerror"]')
    assert visit.page.locator("pre").inner_text().count("<img src=x onerror=alert(1)>.jpg") == 1
    assert visit.page.locator("img[src=x]").count() == 0


def test_a_server_that_stops_is_told_of_and_what_it_owed_is_asked_again(browser: "Browser", models: Path) -> None:
    with serving(models) as first:
        port = first.http.rpartition(":")[2]
        with visiting(browser, first.http) as visit:
            visit.page.wait_for_selector(EVIDENCE)
            first.process.terminate()
            first.process.wait(60)
            visit.drop(jpeg(6))
            visit.page.locator("#notice", has_text="The server does not answer").wait_for()
            with serving(models, "--http-port", port):
                visit.page.wait_for_selector(f'{EVIDENCE}[aria-label*="blocks-6.jpg"]')
                visit.page.locator("#notice").wait_for(state="hidden")
                assert not visit.page.locator(".answer .problem").is_visible()
            refused = [error for error in visit.errors if "net::ERR_" not in error and "503" not in error]
            assert refused == []


def test_a_token_is_asked_for_and_kept_in_memory_only(browser: "Browser", tmp_path: Path) -> None:
    files = guarded.files(tmp_path, Authority("tests"))
    with (
        serving(files.models, "--token-file", str(files.folder / "tokens")) as running,
        visiting(browser, running.http) as visit,
    ):
        dialog = visit.page.locator("dialog#token")
        dialog.get_by_label("Token").fill("not the token")
        dialog.get_by_role("button").click()
        dialog.get_by_text("not known here").wait_for()
        dialog.get_by_label("Token").fill(guarded.ALICE)
        dialog.get_by_role("button").click()
        visit.page.wait_for_selector(EVIDENCE)
        assert "$TOKEN" in visit.page.locator("pre").inner_text()
        assert guarded.ALICE not in visit.page.content()
        kept = visit.page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]")
        assert kept == [0, 0, ""]
        visit.page.reload()
        dialog.get_by_label("Token").wait_for()


@pytest.mark.parametrize("view", ["", "#compare", "#live"])
def test_a_server_without_models_is_no_error_of_the_page(browser: "Browser", tmp_path: Path, view: str) -> None:
    with serving(tmp_path) as running, visiting(browser, running.http, view=view) as visit:
        visit.page.locator("#server", has_text=running.http).wait_for()
        assert visit.errors == []
