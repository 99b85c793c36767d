"""axe-core (Deque, MPL 2.0) looks at every view, light and dark, and finds nothing serious; and nothing is wider than a phone."""

from pathlib import Path

import pytest

from tests.page.browser import DESKTOP, PHONE, Visit
from tests.page.conftest import Look
from tests.page.pictures import jpeg

AXE = (Path(__file__).parent / "axe/axe.min.js").read_text()
SERIOUS = ("serious", "critical")
VIEWS = ("#classify", "#compare", "#models", "#live")
READY = {
    "#classify": '.stage .layers[aria-label*="and the evidence for"]',
    "#compare": ".differences tbody tr",
    "#models": ".model",
    "#live": ".chart",
}


def opened(visit: Visit, view: str) -> None:
    """Waits for the view, and opens what can be opened."""
    visit.page.wait_for_selector(READY[view])
    if view == "#models":
        visit.page.locator(".model > details > summary").first.click()
        visit.page.wait_for_selector(".trust table")
    if view == "#live":
        visit.page.get_by_text("As numbers").click()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", VIEWS)
def test_axe_finds_nothing_serious(look: Look, view: str, scheme: str) -> None:
    visit = look(view=view, color_scheme=scheme)
    opened(visit, view)
    visit.page.evaluate(AXE)
    found = visit.page.evaluate("async () => (await axe.run()).violations")
    serious = [(each["id"], each["nodes"][0]["html"]) for each in found if each["impact"] in SERIOUS]
    assert serious == []


def test_axe_finds_nothing_serious_in_a_contact_sheet(look: Look) -> None:
    visit = look(size=PHONE)
    visit.drop(jpeg(1), jpeg(2))
    visit.page.wait_for_selector(".sheet li:nth-child(2) .figure")
    visit.page.evaluate(AXE)
    found = visit.page.evaluate("async () => (await axe.run()).violations")
    assert [each["id"] for each in found if each["impact"] in SERIOUS] == []


@pytest.mark.parametrize("size", [PHONE, DESKTOP])
@pytest.mark.parametrize("view", VIEWS)
def test_no_view_is_wider_than_the_window(look: Look, view: str, size: tuple[int, int]) -> None:
    visit = look(view=view, size=size)
    opened(visit, view)
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= size[0]
