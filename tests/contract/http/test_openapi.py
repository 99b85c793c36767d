"""The OpenAPI document, and schemathesis, which asks everything that the document allows and forbids."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.server_process import RunningServer, serving
from tests.bundles import make_bundle
from tests.contract.http.asking import ask, infer_json, pixels, png, tensor
from tests.contract.v2.ecosystem import program

CONFIG = Path(__file__).with_name("schemathesis.toml")


@pytest.fixture(scope="module")
def document(server: RunningServer) -> Any:
    """The document of the server."""
    return ask(server.http, "GET", "/openapi.json").json


def nodes(value: Any) -> Iterator[Any]:
    yield value
    for child in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from nodes(child)


def test_every_reference_of_the_document_leads_somewhere(document: Any) -> None:
    named = {node["$ref"] for node in nodes(document) if isinstance(node, dict) and "$ref" in node}
    assert named
    assert named <= {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}


def test_every_operation_has_an_id_of_its_own_a_summary_and_all_its_path_parameters(document: Any) -> None:
    operations = [(path, each) for path, methods in document["paths"].items() for each in methods.values()]
    assert len({each["operationId"] for _, each in operations}) == len(operations) > 20
    for path, operation in operations:
        assert operation["summary"]
        in_path = [each["name"] for each in operation["parameters"] if each["in"] == "path"]
        assert in_path == re.findall(r"\{(\w+)\}", path)


@pytest.mark.parametrize(
    "path", ["/v2", "/v2/models/shapes/ready", "/v1/models", "/livez", "/metrics", "/openapi.json"]
)
def test_answers_have_the_media_type_that_the_document_says(server: RunningServer, document: Any, path: str) -> None:
    answer = ask(server.http, "GET", path)
    described = document["paths"][path.replace("shapes", "{model}")]["get"]["responses"][str(answer.status)]
    assert answer.headers["content-type"].split(";")[0] in described["content"]
    required = {name for name, header in described["headers"].items() if header.get("required")}
    assert required <= set(answer.headers)


def test_answers_with_work_in_them_have_the_headers_that_the_document_says(
    server: RunningServer, document: Any
) -> None:
    inferred = infer_json(server.http, {"inputs": [tensor(pixels())]})
    classified = ask(server.http, "POST", "/v1/models/shapes:classify", png(pixels()[0]))
    for path, answer in (("/v2/models/{model}/infer", inferred), ("/v1/models/{model}:classify", classified)):
        described = document["paths"][path]["post"]["responses"]["200"]["headers"]
        assert {name for name, header in described.items() if header.get("required")} <= set(answer.headers)


def schemathesis(folder: Path, examples: int, phases: str) -> None:
    """Runs it against a server of its own, whose models it may load and unload; fails the test with its findings."""
    command = [program("schemathesis"), "--config-file", str(CONFIG), "run", "--seed", "1", "--no-color"]
    command += ["--phases", phases, "--max-examples", str(examples), "--warnings", "off"]
    make_bundle(folder / "models/shapes/1")
    with serving(folder / "models", "--log-level", "error") as running:
        command.append(f"http://{running.http}/openapi.json")
        ran = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True, timeout=280)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_schemathesis_finds_nothing_in_a_quick_look(tmp_path: Path) -> None:
    schemathesis(tmp_path, 3, "examples,fuzzing")


@pytest.mark.slow
def test_schemathesis_finds_nothing(tmp_path: Path) -> None:
    schemathesis(tmp_path, 25, "examples,coverage,fuzzing,stateful")
