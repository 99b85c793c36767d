"""Compare, Models and Live."""

import re
import shutil
from pathlib import Path

import numpy as np

from bench.server_process import RunningServer
from tests.bundles import make_bundle
from tests.contract.http.asking import ask
from tests.page.conftest import Look
from tests.page.pictures import jpeg, said

PICTURE = jpeg()


def test_compare_shows_what_two_versions_say_of_one_picture_and_where_they_differ(
    look: Look, server: RunningServer
) -> None:
    visit = look(view="#compare")
    visit.page.wait_for_selector("#view-compare .samples li")
    visit.drop(PICTURE)
    one, other = (said(server, PICTURE, f"&version={version}") for version in (1, 3))
    visit.page.wait_for_selector(
        f'#view-compare .layers[aria-label*="{PICTURE.name}, and the evidence for {one.label}"]'
    )
    titles = visit.page.locator(".panels .title strong").all_inner_texts()
    assert titles == ["Version 1", "Version 3", "Difference"]
    notes = visit.page.locator(".panels .note strong").all_inner_texts()
    assert notes == [one.label, other.label]
    found = {
        row.locator("th").inner_text(): row.locator("td.figure").all_inner_texts()
        for row in visit.page.locator(".differences tbody tr").all()
    }
    second = {each["label"]: each["probability"] for each in other.predictions}
    for each in one.predictions:
        label, first = each["label"], each["probability"]
        assert found[label][:2] == [f"{100 * share:.1f} %" for share in (first, second[label])]
        assert found[label][2].lstrip("+−") == f"{100 * abs(second[label] - first):.1f} pp"
    one_seen, other_seen = (visit.shown(f".panels figure:nth-child({at}) .layers") for at in (1, 2))
    height, width, _ = np.minimum(one_seen.shape, other_seen.shape)  # they may begin between two pixels
    assert np.abs(one_seen[:height, :width] - other_seen[:height, :width]).max() > 20


def test_versions_can_be_compared_by_their_labels_and_any_class(look: Look) -> None:
    visit = look(view="#compare")
    visit.page.get_by_label("Second").select_option("canary")
    visit.page.get_by_label("First").select_option("stable")
    visit.page.wait_for_selector(".differences tbody tr")
    row = visit.page.locator(".differences tbody button").nth(2)
    label = row.inner_text()
    row.click()
    visit.page.locator(".panels .title", has_text=f"of the evidence for {label}").wait_for()


def test_models_tell_what_runs_them_and_how_far_they_agree(look: Look) -> None:
    visit = look(view="#models")
    shapes = visit.page.locator(".model", has=visit.page.locator("h2", has_text="shapes"))
    first = shapes.locator("> details").first
    assert re.sub(r"\s+", " ", first.locator("summary").first.inner_text()).startswith(
        "Version 1 in service onnxruntime · fp32 · cpu stable"
    )
    first.locator("summary").first.click()
    first.locator(".trust table").wait_for()
    cells = first.locator(".trust table tbody td").all_inner_texts()
    assert cells[1] == "100.00 %"
    assert "random" in first.locator("dl").inner_text()
    first.get_by_role("button", name="Check now").click()
    first.locator(".trust .state.serving", has_text="passed").wait_for()


def test_a_version_that_comes_or_is_refused_or_goes_is_seen_without_reloading(look: Look, models: Path) -> None:
    visit = look(view="#models")
    visit.page.wait_for_selector(".model")
    make_bundle(models / "late/1", seed=4)
    visit.page.locator(".model", has=visit.page.locator("h2", has_text="late")).locator(".state.serving").wait_for()
    broken = make_bundle(models / "late/2", seed=5) / "model.onnx"
    broken.write_bytes(broken.read_bytes()[:-1] + b"?")
    visit.page.locator(".model .state.refused").wait_for()
    visit.page.locator(".model details", has=visit.page.locator(".state.refused")).locator("summary").click()
    assert "changed since export" in visit.page.locator(".model p.problem").inner_text()
    shutil.rmtree(models / "late")
    visit.page.locator(".model .state.unloaded").first.wait_for()


def test_live_counts_what_happens(look: Look, server: RunningServer) -> None:
    visit = look(view="#live")
    calls = visit.page.locator(".figures div", has_text="Calls").locator("dd")
    calls.wait_for()
    for _ in range(7):
        said(server, PICTURE)
    ask(server.http, "POST", "/v1/models/shapes:classify", b"no picture")
    refused = visit.page.locator(".figures div", has_text="Refused").locator("dd")
    refused.filter(has_text=re.compile("[1-9]")).wait_for()
    assert int(calls.inner_text()) >= 8
    titles = visit.page.locator(".chart figcaption strong").all_inner_texts()
    assert titles[:2] == ["Calls a second", "Images in one run of the engine"]
    assert {"Decode", "Queue", "Infer", "Render"} <= set(titles)
    visit.page.get_by_text("As numbers").click()
    assert visit.page.locator(".numbers tbody tr").count() >= 1


def test_live_can_be_of_one_version_and_of_another_time(look: Look) -> None:
    visit = look(view="#live")
    visit.page.wait_for_selector(".figures dd")
    with visit.page.expect_response(lambda response: "model=shapes&version=3" in response.url):
        visit.page.locator("#view-live").get_by_label("Of").select_option("shapes/3")
    with visit.page.expect_response(lambda response: "minutes=15" in response.url):
        visit.page.locator("#view-live select").first.select_option("15")
