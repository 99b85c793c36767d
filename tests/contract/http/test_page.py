"""The page as HTTP sees it: what is served, under which policy, and how often it is sent. What it does is for `tests/page`."""

import gzip
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.server_process import RunningServer, serving
from tests.bundles import make_bundle
from tests.certificates import Authority
from tests.contract import guarded
from tests.contract.http.asking import Answer, ask

BUDGET_BYTES = 150 * 1024
FILES = sorted(path.name for path in (Path(__file__).parents[3] / "server/page").iterdir())
LINK = re.compile(rb"""(?:src|href|import .*? from|import)[= ]["']([^"'#]+)["']""")


def paths() -> list[str]:
    return ["/", *(f"/page/{name}" for name in FILES if name != "index.html")]


@pytest.mark.parametrize("path", paths())
def test_every_file_has_its_type_the_policy_and_a_tag(server: RunningServer, path: str) -> None:
    answer = ask(server.http, "GET", path)
    kinds = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
    expected = kinds.get(path.rpartition(".")[2], "text/html")
    assert answer.status == 200
    assert answer.headers["content-type"] == f"{expected}; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["etag"].startswith('W/"')


def test_the_policy_allows_this_server_and_nothing_else(server: RunningServer) -> None:
    policy = ask(server.http, "GET", "/").headers["content-security-policy"]
    allowed = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert allowed["default-src"] == "'none'"
    assert {allowed[name] for name in ("script-src", "style-src", "connect-src")} == {"'self'"}
    assert set(allowed["img-src"].split()) == {"'self'", "blob:"}
    assert {allowed[name] for name in ("base-uri", "form-action", "frame-ancestors")} == {"'none'"}
    assert "unsafe" not in policy


def test_a_browser_that_has_a_file_is_not_sent_it_again(server: RunningServer) -> None:
    first = ask(server.http, "GET", "/page/app.js")
    again = ask(server.http, "GET", "/page/app.js", if_none_match=first.headers["etag"])
    assert (again.status, again.body, again.headers["etag"]) == (304, b"", first.headers["etag"])
    changed = ask(server.http, "GET", "/page/app.js", if_none_match='W/"another"')
    assert (changed.status, changed.body) == (200, first.body)


def test_tags_are_of_the_content(server: RunningServer) -> None:
    tags = {ask(server.http, "GET", path).headers["etag"] for path in paths()}
    assert len(tags) == len(paths())


def test_files_are_compressed_for_who_takes_them_so(server: RunningServer) -> None:
    plain = ask(server.http, "GET", "/page/style.css")
    packed = ask(server.http, "GET", "/page/style.css", accept_encoding="gzip")
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    assert packed.headers["etag"] == plain.headers["etag"]


def test_the_page_weighs_at_most_150_kib_before_compression(server: RunningServer) -> None:
    assert sum(len(ask(server.http, "GET", path).body) for path in paths()) <= BUDGET_BYTES


def test_every_file_that_the_page_names_is_there_and_on_this_server(server: RunningServer) -> None:
    named = {link.decode() for path in paths() for link in LINK.findall(ask(server.http, "GET", path).body)}
    local = {link.removeprefix("./").removeprefix("page/") for link in named}
    assert local <= set(FILES)
    assert len(local) > 10


def test_the_page_names_all_its_modules_at_once_so_that_none_waits_for_another(server: RunningServer) -> None:
    named = LINK.findall(ask(server.http, "GET", "/").body)
    assert {f"page/{name}".encode() for name in FILES if name.endswith(".js")} <= set(named)


@pytest.mark.parametrize("path", ["/page/nothing.js", "/page/..%2fapp.py", "/page/", "/index.html"])
def test_what_the_page_does_not_have_is_not_found(server: RunningServer, path: str) -> None:
    assert ask(server.http, "GET", path).status == 404


def test_a_head_request_has_the_headers_and_no_body(server: RunningServer) -> None:
    answer = ask(server.http, "HEAD", "/")
    assert (answer.status, answer.body) == (200, b"")
    assert "content-security-policy" in answer.headers


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[RunningServer]:
    """A server without the page."""
    make_bundle(tmp_path / "models/shapes/1")
    with serving(tmp_path / "models", "--no-page") as running:
        yield running


def test_without_the_page_its_paths_are_unknown_and_the_api_is_there(bare: RunningServer) -> None:
    assert [ask(bare.http, "GET", path).status for path in ("/", "/page/app.js")] == [404, 404]
    assert ask(bare.http, "GET", "/v1/models").status == 200
    document = ask(bare.http, "GET", "/openapi.json").json
    assert not {"/", "/page/{file}"} & set(document["paths"])


def test_with_tokens_the_page_is_for_everyone_and_what_it_shows_is_not(tmp_path: Path) -> None:
    files = guarded.files(tmp_path, Authority("tests"))
    with serving(files.models, "--token-file", str(files.folder / "tokens")) as running:
        assert ask(running.http, "GET", "/").status == 200
        assert ask(running.http, "GET", "/page/app.js").status == 200
        closed = ["/v1/models", "/v1/server", "/v1/history"]
        closed += [
            f"/v1/models/shapes/versions/1/{part}" for part in ("bundle", "samples", "samples/0", "golden", "report")
        ]
        assert {_status(running, path) for path in closed} == {401}
        admitted = [ask(running.http, "GET", path, authorization=f"Bearer {guarded.ALICE}").status for path in closed]
        assert admitted == [200] * (len(closed) - 1) + [404]


def _status(running: RunningServer, path: str) -> int:
    answer: Answer = ask(running.http, "GET", path)
    return answer.status
