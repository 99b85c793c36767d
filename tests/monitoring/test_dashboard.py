"""The dashboard is one that Grafana understands, and every panel of it has something to show."""

import json
import math
from pathlib import Path
from typing import Any

import promql_parser
import pytest
from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from k8s.monitoring import dashboard
from tests.bundles import make_bundle
from tests.monitoring.observatory import hurried, missing, observing, until
from tests.monitoring.site import ROLES, watched

JSON = Path(dashboard.__file__).with_name("dashboard.json")
BOARD: dict[str, Any] = json.loads(JSON.read_text())
PANELS = BOARD["panels"]
QUERIES = {
    f"{panel['id']} {panel['title']} {query['refId']}": query["expr"]
    for panel in PANELS
    for query in panel.get("targets", [])
}
# Only a machine with a GPU has these.
GPU = ("seethrough_gpu_memory_used_bytes", "seethrough_gpu_memory_total_bytes")


def filled_in(expression: str) -> str:
    """The query as Grafana sends it when all is chosen."""
    chosen = expression.replace("$__rate_interval", "10s")
    for variable in ("$namespace", "$job", "$model"):
        chosen = chosen.replace(variable, ".*")
    assert "$" not in chosen
    return chosen


def unknown(written: Any, understood: Any, path: str = "$") -> list[str]:
    """Paths of what was written and not understood; defaults may have been added."""
    match written, understood:
        case dict(), dict():
            pairs = [(value, understood.get(key), f"{path}.{key}") for key, value in written.items()]
        case list(), list() if len(written) == len(understood):
            pairs = [(*both, f"{path}[{place}]") for place, both in enumerate(zip(written, understood, strict=True))]
        case _:
            return [] if written == understood else [path]
    return [lost for pair in pairs for lost in unknown(*pair)]


def test_the_dashboard_is_what_its_source_makes() -> None:
    command = "python -m k8s.monitoring.dashboard > k8s/monitoring/dashboard.json"
    assert JSON.read_text() == dashboard.as_json(), f"run {command}"


def test_grafana_knows_every_field() -> None:
    plugins.register_default_plugins()
    understood = json.loads(JSONEncoder().encode(Dashboard.from_json(BOARD)))
    assert unknown(BOARD, understood) == []


def test_panels_have_numbers_of_their_own_and_do_not_overlap() -> None:
    taken = set[tuple[int, int]]()
    for panel in PANELS:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)


@pytest.mark.parametrize("name", QUERIES)
def test_every_query_is_promql_and_asks_what_is_chosen_at_the_top(name: str) -> None:
    expression = QUERIES[name]
    promql_parser.parse(filled_in(expression))
    assert "$job" in expression or "objective" in expression


@pytest.mark.slow
def test_every_query_returns_data_from_a_live_server(tmp_path: Path) -> None:
    if lacking := missing():
        pytest.skip(f"not installed: apt-get install {lacking}")
    empty = {
        name: filled_in(expression) for name, expression in QUERIES.items() if not any(gpu in expression for gpu in GPU)
    }
    assert len(empty) == len(QUERIES) - len(GPU)
    with observing(tmp_path, hurried()) as observatory, watched(tmp_path, observatory) as site:
        make_bundle(site.model / "2", seed=1)
        site.roles(f"{ROLES}[shadow]\nversion = 2\nshare = 1.0\n")

        def all_have_data() -> bool:
            for name, expression in list(empty.items()):
                if any(math.isfinite(value) for _, value in observatory.query(expression)):
                    del empty[name]
            return not empty

        # Every fiftieth run fails; the comparison with the week before needs a week, hurried or not.
        with site.replaced(faults={"raise": 0.02}):
            try:
                until(all_have_data, 200, "data")
            except TimeoutError:
                pytest.fail(f"no data: {empty}")
