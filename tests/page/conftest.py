"""A browser and a server for each module.

Not for the session: Playwright keeps an event loop running in its thread, and the asynchronous tests of other modules want that thread.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bench.server_process import RunningServer, serving
from tests.bundles import make_bundle
from tests.page.browser import MissingError, Visit, chromium, visiting

if TYPE_CHECKING:
    from playwright.sync_api import Browser

Look = Callable[..., Visit]


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """Chromium; skips the tests where there is none."""
    with ExitStack() as stack:
        try:
            running = stack.enter_context(chromium())
        except MissingError as missing:
            pytest.skip(str(missing))
        yield running


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`shapes` in versions 1 and 3, the latter `canary`, and `traits`, explained by two methods."""
    folder = tmp_path_factory.mktemp("models")
    make_bundle(folder / "shapes/1", seed=1)
    make_bundle(folder / "shapes/3", seed=3)
    (folder / "shapes/versions.toml").write_text("[labels]\nstable = 1\ncanary = 3\n")
    labels = [f"trait {number}" for number in range(12)]
    make_bundle(folder / "traits/1", kind="multilabel", labels=labels, methods=["gradcam", "layercam"], seed=2)
    return folder


@pytest.fixture(scope="module")
def server(browser: "Browser", models: Path) -> Iterator[RunningServer]:
    """A server of them; after the browser, without which there is no need for one."""
    with serving(models, "--watch-seconds", "0.1") as running:
        yield running


@pytest.fixture
def look(browser: "Browser", server: RunningServer) -> Iterator[Look]:
    """Looks at the server's page. At the end of the test it must have asked nobody else, and have complained of nothing that the
    test has not taken from its `errors`."""
    with ExitStack() as stack:
        visits: list[Visit] = []

        def begin(address: str = "", **options: Any) -> Visit:
            entering: AbstractContextManager[Visit] = visiting(browser, address or server.http, **options)
            visits.append(stack.enter_context(entering))
            return visits[-1]

        yield begin
        for visit in visits:
            host = visit.page.url.split("/")[2]
            assert [url for url in visit.asked if not url.startswith((f"http://{host}/", f"blob:http://{host}/"))] == []
            assert visit.errors == []
