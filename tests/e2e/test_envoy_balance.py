"""Three servers behind Envoy: calls are spread one by one whatever connection they come by, and a sick server gets none."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import grpc
import pytest

from proto import classifier_pb2_grpc as rpc
from proto import open_inference_pb2 as v2
from proto import open_inference_pb2_grpc as v2_rpc
from tests.bundles import make_bundle
from tests.e2e.envoy import REPEATABLE, REQUEST, Callers, Fleet, fleet

# The chaos server, with engines that raise at every run.
BROKEN = {"SEED": "1", "FAULTS": json.dumps({"slow": 0, "raise": 1, "hang": 0, "memory": 0})}


@pytest.fixture
def three(tmp_path: Path) -> Iterator[Fleet]:
    """None of them has been started yet."""
    make_bundle(tmp_path / "models/shapes/1")
    with fleet(tmp_path / "models", tmp_path, 3) as found:
        yield found


def start(servers: Fleet, count: int) -> None:
    """Starts the first `count` servers; returns when Envoy sends them calls."""
    for which in range(count):
        servers.start(which)
    servers.wait_until_seen(count)


def test_one_connection_reaches_all_servers_about_evenly(three: Fleet) -> None:
    start(three, 3)
    with grpc.insecure_channel(f"127.0.0.1:{three.listener}") as channel:
        stub = rpc.ImageClassifierStub(channel)
        calls = [stub.Classify.future(REQUEST, timeout=30) for _ in range(300)]
        assert all(call.result().results[0].predictions for call in calls)
    assert sum(three.answered()) == 300
    # The fewest in work of two by chance: a third each, give or take what chance does in 300 calls.
    assert all(60 <= count <= 140 for count in three.answered()), three.answered()


def test_a_server_that_is_frozen_gets_no_calls_until_it_is_back(three: Fleet) -> None:
    start(three, 3)
    callers = Callers(three.listener, REPEATABLE)
    process = three.running[2].process
    with callers.at_work():
        process.send_signal(signal.SIGSTOP)
        try:
            three.wait_until_seen(2)
            seen = callers.ends.total()
            three.wait_until(lambda _: callers.ends.total() > seen + 100)
        finally:
            process.send_signal(signal.SIGCONT)
        three.wait_until_seen(3)
    assert set(callers.ends) == {"OK"}, callers.ends


@pytest.mark.slow
def test_a_server_whose_engine_fails_every_time_is_put_out_and_the_others_go_on(three: Fleet) -> None:
    start(three, 2)
    three.start(2, module="tests.chaos.server", environment={**os.environ, **BROKEN})
    three.wait_until_seen(3)
    callers = Callers(three.listener)
    with callers.at_work():
        three.wait_until_seen(2)
        failed = callers.ends.total() - callers.ends["OK"]
        seen = callers.ends["OK"]
        three.wait_until(lambda _: callers.ends["OK"] > seen + 100)
    assert 0 < failed <= 20, callers.ends
    assert {end.partition(":")[0] for end in callers.ends} <= {"OK", "INTERNAL", "UNAVAILABLE"}


def test_loading_and_unloading_is_not_spread(three: Fleet) -> None:
    start(three, 1)
    with grpc.insecure_channel(f"127.0.0.1:{three.listener}") as channel:
        stub = v2_rpc.GRPCInferenceServiceStub(channel)
        with pytest.raises(grpc.RpcError) as refused:
            stub.RepositoryModelUnload(v2.RepositoryModelUnloadRequest(model_name="shapes"), timeout=10)
        assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
        assert stub.ModelReady(v2.ModelReadyRequest(name="shapes"), timeout=10).ready


def test_of_the_admin_interface_only_readiness_and_metrics_can_be_reached(three: Fleet) -> None:
    three.wait_until_seen(0)
    with urlopen(f"http://127.0.0.1:{three.status}/metrics", timeout=5) as page:
        assert "envoy_cluster_upstream_rq_total" in page.read().decode()
    with urlopen(f"http://127.0.0.1:{three.status}/ready", timeout=5) as page:
        assert page.read() == b"LIVE\n"
    with pytest.raises(OSError, match="404"):
        urlopen(f"http://127.0.0.1:{three.status}/config_dump", timeout=5)
