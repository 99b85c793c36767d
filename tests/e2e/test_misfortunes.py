"""What a server survives that is nobody's fault: being stopped for a while, and a clock that jumps."""

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import grpc
import pytest

from bench.server_process import RunningServer, serving
from proto import classifier_pb2 as pb
from proto import classifier_pb2_grpc as rpc
from tests.bundles import make_bundle
from tests.chaos.test_chaos import metric

FAKE_TIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")
REQUEST = pb.ClassifyRequest(
    model="shapes", images=[pb.Image(pixels=pb.RawPixels(height=12, width=16, channels=3, data=bytes(576)))]
)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    make_bundle(tmp_path / "models/shapes/1")
    return tmp_path / "models"


@contextmanager
def stub(server: RunningServer) -> Iterator["rpc.ImageClassifierStub"]:
    with grpc.insecure_channel(server.grpc) as channel:
        yield rpc.ImageClassifierStub(channel)


@pytest.mark.parametrize("seconds", [2.0, pytest.param(30.0, marks=pytest.mark.slow)])
def test_a_server_that_was_stopped_for_a_while_answers_and_does_not_blame_its_engine(
    models: Path, seconds: float
) -> None:
    with serving(models, "--engine-seconds", "0.5") as server, stub(server) as classifier:
        classifier.Classify(REQUEST)
        server.process.send_signal(signal.SIGSTOP)
        waiting = classifier.Classify.future(REQUEST, timeout=seconds + 30)
        impatient = classifier.Classify.future(REQUEST, timeout=0.5)
        goes_on = threading.Timer(seconds, server.process.send_signal, (signal.SIGCONT,))
        goes_on.start()
        assert impatient.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert waiting.result().results[0].predictions
        goes_on.join()
        assert classifier.Classify(REQUEST, timeout=10).results[0].predictions
        assert metric(server, "seethrough_engine_faults_total") == 0


def last_inference(server: RunningServer) -> float:
    """Unix time, by the server's clock."""
    with urlopen(f"http://{server.http}/v2/models/shapes/stats", timeout=10) as page:
        milliseconds: int = json.load(page)["model_stats"][0]["last_inference"]
    return milliseconds / 1000


@pytest.mark.parametrize("jump", [3600, -3600])
def test_a_clock_that_jumps_by_an_hour_changes_no_deadline(models: Path, tmp_path: Path, jump: int) -> None:
    if not FAKE_TIME.exists():
        pytest.skip("libfaketime is not installed: apt-get install libfaketime")
    now = tmp_path / "now"
    now.write_text("+0")
    fake = {
        "LD_PRELOAD": str(FAKE_TIME),
        "FAKETIME_TIMESTAMP_FILE": str(now),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    with serving(models, environment=os.environ | fake) as server, stub(server) as classifier:
        classifier.Classify(REQUEST, timeout=10)
        now.write_text(f"{jump:+d}")
        for _ in range(20):
            assert classifier.Classify(REQUEST, timeout=10).results[0].predictions
        assert abs(last_inference(server) - time.time() - jump) < 60
