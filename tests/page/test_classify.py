"""Classify: a picture comes in, the answer and its evidence are seen, and every control changes what it says it does."""

import io
import itertools

import numpy as np
import pytest
from PIL import Image

from bench.server_process import RunningServer
from tests.contract.http.asking import ask
from tests.page.browser import Visit
from tests.page.conftest import Look
from tests.page.pictures import NOTES, around, jpeg, said

PICTURE = jpeg()
STAGE = ".stage .layers"


@pytest.fixture
def shapes(look: Look) -> Visit:
    """The model `shapes` is asked about a JPEG that was dropped."""
    visit = look()
    visit.drop(PICTURE)
    wait_for_evidence(visit, PICTURE.name)
    return visit


def wait_for_evidence(visit: Visit, picture: str, label: str = "") -> None:
    visit.page.wait_for_selector(f'{STAGE}[aria-label*="{picture}, and the evidence for {label}"]')


def set_slider(visit: Visit, value: int) -> None:
    visit.page.get_by_label("Strength").fill(str(value))


def test_the_page_begins_with_an_answer_about_a_sample(look: Look) -> None:
    visit = look()
    wait_for_evidence(visit, "sample-0.png")
    assert visit.page.locator(".classes button").count() == 3


def test_a_dropped_jpeg_gets_the_answer_that_the_api_gives(shapes: Visit, server: RunningServer) -> None:
    expected = said(server, PICTURE)
    assert shapes.page.locator(".verdict strong").inner_text() == expected.label
    names = [each.strip() for each in shapes.page.locator(".classes .name").all_inner_texts()]
    assert names == [each["label"] for each in expected.predictions]
    assert shapes.page.locator(".verdict span").inner_text() == f"{100 * expected.predictions[0]['probability']:.1f} %"


def test_the_evidence_is_seen_where_it_is_strong(shapes: Visit, server: RunningServer) -> None:
    laid = shapes.shown(STAGE)
    set_slider(shapes, 0)
    plain = shapes.shown(STAGE)
    hot = said(server, PICTURE).hottest()
    yellow = np.array([253, 231, 37])  # where viridis ends
    assert np.abs(around(laid, hot) - around(plain, hot)).max() > 20
    assert np.abs(around(laid, hot) - yellow).sum() < np.abs(around(plain, hot) - yellow).sum()


def test_the_page_draws_what_the_server_draws(shapes: Visit, server: RunningServer) -> None:
    answer = ask(server.http, "POST", "/v1/models/shapes:classify?explain=overlay", PICTURE.content, accept="image/png")
    laid = shapes.shown(STAGE)
    size = (laid.shape[1], laid.shape[0])
    drawn = Image.open(io.BytesIO(answer.body)).convert("RGB").resize(size, Image.Resampling.BICUBIC)
    difference = np.abs(laid - np.asarray(drawn, np.float64))
    assert difference.mean() < 4  # of 255: the picture itself is enlarged by different filters
    assert np.quantile(difference, 0.9) < 12


def test_a_click_on_a_class_shows_its_evidence(shapes: Visit, server: RunningServer) -> None:
    before = shapes.shown(STAGE)
    second = said(server, PICTURE).predictions[1]["label"]
    shapes.page.locator(".classes button").nth(1).click()
    wait_for_evidence(shapes, PICTURE.name, second)
    assert np.abs(shapes.shown(STAGE) - before).max() > 20
    assert shapes.page.locator(".classes button[aria-pressed=true] .name").inner_text() == second
    assert shapes.page.locator(".whose strong").inner_text() == second


def test_sliders_and_colours_ask_nothing_and_change_what_is_seen(shapes: Visit) -> None:
    asked = [url for url in shapes.asked if ":classify" in url]
    seen = []
    for value in (0, 40, 100):
        set_slider(shapes, value)
        seen.append(shapes.shown(STAGE))
    for name in ("magma", "cividis", "grey"):
        shapes.page.get_by_label("Colours").select_option(name)
        seen.append(shapes.shown(STAGE))
    changes = [np.abs(one - other).max() for one, other in itertools.pairwise(seen)]
    assert min(changes) > 20
    assert [url for url in shapes.asked if ":classify" in url] == asked


def test_viridis_is_first_among_the_colours(shapes: Visit) -> None:
    assert shapes.page.get_by_label("Colours").locator("option").all_inner_texts()[0] == "viridis"


def test_several_pictures_become_a_contact_sheet_and_a_bad_one_takes_nothing_away(
    look: Look, server: RunningServer
) -> None:
    visit = look()
    pictures = [jpeg(seed) for seed in (1, 2, 3)]
    visit.drop(*pictures[:2], NOTES, pictures[2])
    visit.page.wait_for_selector(".sheet li:nth-child(4) .caption .figure")
    visit.page.wait_for_selector(".sheet .failed")
    captions = visit.page.locator(".sheet .caption > span:first-child").all_inner_texts()
    expected = [said(server, picture).label for picture in pictures]
    assert captions == [*expected[:2], "no answer", expected[2]]
    visit.page.locator(".sheet button").nth(3).click()
    wait_for_evidence(visit, pictures[2].name, expected[2])
    visit.page.locator(".sheet button").nth(2).click()
    assert "not a picture that can be read" in visit.page.locator(".answer .problem").inner_text()
    assert [error for error in visit.errors if "400" not in error] == []
    visit.errors.clear()


def test_a_picture_can_be_pasted(look: Look) -> None:
    visit = look()
    wait_for_evidence(visit, "sample-0.png")
    visit.paste(jpeg(4)._replace(name="image.jpg"))
    wait_for_evidence(visit, "pasted.jpg")


def test_a_picture_can_be_chosen_from_a_folder(look: Look) -> None:
    visit = look()
    wait_for_evidence(visit, "sample-0.png")
    with visit.page.expect_file_chooser() as chosen:
        visit.page.locator("#view-classify").get_by_role("button", name="Choose pictures").click()
    name, media, content = jpeg(5)
    chosen.value.set_files({"name": name, "mimeType": media, "buffer": content})
    wait_for_evidence(visit, name)


def test_a_picture_can_be_taken_with_the_camera(look: Look) -> None:
    visit = look()
    wait_for_evidence(visit, "sample-0.png")
    visit.page.locator("#view-classify").get_by_role("button", name="Take one").click()
    visit.page.get_by_role("button", name="Take it").click()
    wait_for_evidence(visit, "camera.jpg")
    assert visit.page.locator("dialog.camera").count() == 0


def test_a_sample_can_be_clicked(look: Look) -> None:
    visit = look()
    visit.page.locator("#view-classify .thumbs button").nth(2).click()
    wait_for_evidence(visit, "sample-2.png")


def test_each_stage_of_the_answer_has_its_cost(shapes: Visit) -> None:
    costs = dict(zip(*(shapes.page.locator(f".costs {tag}").all_inner_texts() for tag in ("dt", "dd")), strict=True))
    assert list(costs) == ["Decode", "Queue", "Infer", "Render", "Serve", "Network"]
    assert all(cost.endswith((" ms", " s")) for cost in costs.values())
    widths = [each.bounding_box() for each in shapes.page.locator(".costs .bar span").all()]
    assert sum(box["width"] for box in widths if box) > 100


def test_another_method_and_any_class_can_be_asked_for(look: Look) -> None:
    visit = look()
    select = visit.page.locator("#view-classify select")
    select.first.select_option("traits")
    wait_for_evidence(visit, "sample-0.png", "trait")
    gradcam = visit.shown(STAGE)
    with visit.page.expect_response(lambda response: "method=layercam" in response.url):
        visit.page.get_by_label("Evidence by").select_option("layercam")
    wait_for_evidence(visit, "sample-0.png", "trait")
    assert np.abs(visit.shown(STAGE) - gradcam).max() > 10
    visit.page.get_by_label("Evidence for any of 12 classes").fill("trait 7")
    visit.page.keyboard.press("Enter")
    wait_for_evidence(visit, "sample-0.png", "trait 7")


def test_everything_is_reached_and_done_with_the_keyboard(look: Look) -> None:
    visit = look()
    wait_for_evidence(visit, "sample-0.png")
    reached = set()
    for _ in range(40):
        visit.page.keyboard.press("Tab")
        reached.add(visit.page.evaluate("document.activeElement.textContent.trim() || document.activeElement.tagName"))
    assert {"To the content", "Compare", "Choose pictures", "Take one", "Copy", "grpcurl"} <= reached
    visit.page.locator(".skip").focus()
    visit.page.keyboard.press("Enter")
    visit.page.wait_for_selector("main:focus")
    visit.page.locator(".classes button").nth(2).focus()
    visit.page.keyboard.press("Enter")
    visit.page.wait_for_selector(".classes li:nth-child(3) button[aria-pressed=true]:focus")


def test_who_listens_is_told_the_answer_and_where_the_evidence_is(shapes: Visit, server: RunningServer) -> None:
    spoken = shapes.page.locator("#spoken")
    spoken.filter(has_text=said(server, PICTURE).label).filter(has_text="strongest at").wait_for(state="attached")
