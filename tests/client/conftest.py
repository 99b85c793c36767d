"""A fake server for each test: starting one takes milliseconds."""

from collections.abc import Iterator

import pytest

from tests.client.fake import FakeServer, running


@pytest.fixture
def server() -> Iterator[tuple[FakeServer, str]]:
    """The server and its address."""
    with running() as started:
        yield started
