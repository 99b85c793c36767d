"""A real Prometheus scrapes a real server and answers what an operator asks."""

import json
import math
import signal
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc

from bench.server_process import serving
from proto import classifier_pb2 as pb
from proto import classifier_pb2_grpc as rpc
from tests.bundles import make_bundle
from tests.e2e.tools import needed

STAGES = ("decode", "queue", "infer", "render", "total")
P99 = "histogram_quantile(0.99, sum by (stage, le) (rate(seethrough_stage_seconds_bucket[20s])))"
CONFIGURATION = """
global: {scrape_interval: 1s, scrape_timeout: 900ms}
scrape_configs: [{job_name: seethrough, static_configs: [{targets: ["%s"]}]}]
"""


@contextmanager
def prometheus(target: str, folder: Path) -> Iterator[str]:
    """A Prometheus that scrapes `target` (host:port) every second; yields its address."""
    program = needed("prometheus", package="prometheus")
    configuration = folder / "prometheus.yml"
    configuration.write_text(CONFIGURATION % target)
    options = [
        f"--config.file={configuration}",
        f"--storage.tsdb.path={folder / 'data'}",
        "--web.listen-address=127.0.0.1:0",
    ]
    with subprocess.Popen([program, *options], stderr=subprocess.PIPE, text=True) as process:
        try:
            address = listening(process)
            until_ready(address)
            yield address
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=30)


def listening(process: "subprocess.Popen[str]") -> str:
    """The address that Prometheus says it took."""
    assert process.stderr is not None
    for line in process.stderr:
        if "Listening on" in line and "address=" in line:
            return line.split("address=")[1].split()[0]
    raise AssertionError("Prometheus ended before it listened")


def until_ready(address: str) -> None:
    """Returns when Prometheus has read its data; until then it answers 503."""
    patience = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(f"http://{address}/-/ready", timeout=5).close()
        except urllib.error.HTTPError:
            assert time.monotonic() < patience, "Prometheus is not ready after a minute"
            time.sleep(0.05)
        else:
            return


def query(address: str, expression: str) -> dict[str, float]:
    """The instant vector of an expression, by stage."""
    url = f"http://{address}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
    with urllib.request.urlopen(url, timeout=5) as response:
        found = json.load(response)["data"]["result"]
    return {series["metric"].get("stage", ""): float(series["value"][1]) for series in found}


def test_prometheus_answers_the_p99_of_every_stage(tmp_path: Path) -> None:
    make_bundle(tmp_path / "models/shapes/1")
    image = pb.Image(pixels=pb.RawPixels(height=12, width=16, channels=3, data=bytes(576)))
    asked = pb.ClassifyRequest(model="shapes", images=[image], explain=pb.Explain(format=pb.HEATMAP_FORMAT_OVERLAY_PNG))
    answered: dict[str, float] = {}
    with serving(tmp_path / "models") as server, prometheus(server.http, tmp_path) as address:
        with grpc.insecure_channel(server.grpc) as channel:
            stub = rpc.ImageClassifierStub(channel)
            patience = time.monotonic() + 60
            while time.monotonic() < patience and not (answered and all(map(math.isfinite, answered.values()))):
                stub.Classify(asked)
                answered = query(address, P99)
        up = query(address, "up")
    assert set(answered) == set(STAGES)
    assert all(0 < seconds < 10 for seconds in answered.values())
    assert answered["total"] >= answered["render"]
    assert up == {"": 1.0}
