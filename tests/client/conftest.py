"""A fake server for each test: starting one takes milliseconds."""

from collections.abc import Iterator

import pytest

from client import Client
from tests.client.blocking import Blocking, Connect
from tests.client.fake import FakeServer, running


@pytest.fixture
def server() -> Iterator[tuple[FakeServer, str]]:
    """The server and its address."""
    with running() as started:
        yield started


@pytest.fixture(params=[Client, Blocking], ids=["sync", "async"])
def connect(request: pytest.FixtureRequest) -> Connect:
    """Makes a client of either kind, to use in a `with` block."""
    kind: Connect = request.param
    return kind
