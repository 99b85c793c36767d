"""The pages for whoever is on call: metrics that there are, queries that can be asked, sections that can be found."""

import re
from pathlib import Path
from urllib.request import urlopen

import grpc
import promql_parser
import pytest
from prometheus_client.parser import text_string_to_metric_families

from bench.server_process import serving
from proto import classifier_pb2_grpc as rpc
from tests.bundles import make_bundle
from tests.monitoring.site import MODEL, requests

ROOT = Path(__file__).parents[2]
PAGES = {name: (ROOT / "docs" / f"{name}.md").read_text() for name in ("operations", "runbook")}
# Name, type and labels.
ROWS = re.findall(r"^\| `(seethrough_\w+)` \| (\w+) \| ?([\w, ]*) \|", PAGES["operations"], re.MULTILINE)
QUERIES = [
    query
    for page in PAGES.values()
    for block in re.findall(r"```promql\n(.*?)```", page, re.DOTALL)
    for query in block.splitlines()
]


def scraped(models: Path) -> str:
    """The page of a server of several processes that has answered once; with them it has all that there is."""
    options = ("--processes", "2", "--device", "cpu", "--engine", "onnxruntime", "--engine-process", "off")
    with serving(models, *options) as server, grpc.insecure_channel(server.grpc) as channel:
        rpc.ImageClassifierStub(channel).Classify(requests()[0], timeout=60)
        with urlopen(f"http://{server.http}/metrics", timeout=30) as page:
            text: str = page.read().decode()
    return text


def test_the_table_of_metrics_is_that_of_a_live_server(tmp_path: Path) -> None:
    make_bundle(tmp_path / MODEL / "1")
    types, labels = {}, dict[str, set[str]]()
    for family in text_string_to_metric_families(scraped(tmp_path)):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        if name.startswith("seethrough_") and not name.endswith("_created"):
            types[name] = family.type
            labels[name] = {label for sample in family.samples for label in sample.labels} - {"le"}
    assert {name: kind for name, kind, _ in ROWS} == types
    written = {name: set(filter(None, names.split(", "))) for name, _, names in ROWS}
    assert {name: written[name] for name in labels if labels[name]} == {
        name: found for name, found in labels.items() if found
    }


@pytest.mark.parametrize("query", QUERIES)
def test_the_queries_are_promql(query: str) -> None:
    promql_parser.parse(query)


@pytest.mark.parametrize(
    "path", ["docs/operations.md", "docs/runbook.md", "k8s/monitoring/rules.yaml", "k8s/monitoring/dashboard.json"]
)
def test_only_metrics_that_there_are_are_asked_for(path: str) -> None:
    known = {name for name, _, _ in ROWS}
    asked = {
        re.sub("_(bucket|sum|count)$", "", name) for name in re.findall(r"\bseethrough_\w+", (ROOT / path).read_text())
    }
    assert asked <= known


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_to_files_and_sections(name: str) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", PAGES[name]):
        file, _, section = target.partition("#")
        page = ROOT / "docs" / (file or f"{name}.md")
        assert page.exists(), target
        headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE) if section else []
        assert not section or section in {
            re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings
        }
