"""One target, several servers: who is in service gets its share, and nobody notices who leaves."""

import signal
from pathlib import Path

import grpc
import numpy as np
import pytest

from bench.server_process import serving
from client import ClassifyError, ModelState
from tests.bundles import make_bundle
from tests.client.blocking import Connect
from tests.client.fake import SIDE, FakeServer, running

Server = tuple[FakeServer, str]
PIXELS = np.zeros((12, 16, 3), np.uint8)


def behind_one_target(*addresses: str) -> str:
    """The target that stands for all of `addresses`, as a name with several addresses would."""
    return f"ipv4:{','.join(addresses)}"


def test_two_servers_share_the_calls_and_one_may_stop(connect: Connect, tmp_path: Path) -> None:
    # The version tells which of the two has answered.
    make_bundle(tmp_path / "one/shapes/1")
    make_bundle(tmp_path / "two/shapes/2")
    with (
        serving(tmp_path / "one", "--grace-seconds", "1") as one,
        serving(tmp_path / "two") as two,
        connect(behind_one_target(one.grpc, two.grpc)) as client,
    ):
        versions: set[int] = set()
        while versions != {1, 2}:
            versions.add(client.classify([PIXELS], "shapes").version)
        one.process.send_signal(signal.SIGTERM)
        while one.process.poll() is None:
            client.classify([PIXELS], "shapes")
        assert {client.classify([PIXELS], "shapes").version for _ in range(20)} == {2}


def test_a_server_that_is_not_in_service_gets_no_calls(connect: Connect, server: Server) -> None:
    with running() as (draining, address):
        draining.set_serving("", serving=False)
        with connect(behind_one_target(server[1], address)) as client:
            for _ in range(20):
                client.classify([np.zeros((SIDE, SIDE, 3), np.uint8)], "colours")
    assert (len(server[0].requests), len(draining.requests)) == (20, 0)


def test_a_server_that_is_alone_and_not_in_service_still_tells_why(connect: Connect, server: Server) -> None:
    server[0].set_serving("", serving=False)
    with connect(server[1]) as client:
        assert [model.state for model in client.models()] == [ModelState.SERVING, ModelState.REFUSED]
        assert client.get_model("broken").reason != ""
        with pytest.raises(ClassifyError) as caught:
            client.classify([np.zeros((SIDE, SIDE, 3), np.uint8)], "colours")
    assert caught.value.code is grpc.StatusCode.UNAVAILABLE
    assert server[0].requests == []
