"""grpcurl, which knows of our services only what reflection tells it."""

import base64
import json
import subprocess
from typing import Any

import numpy as np
import pytest

from bench.server_process import RunningServer
from tests.contract.v2.ecosystem import program

SERVICES = {
    "grpc.health.v1.Health",
    "grpc.reflection.v1alpha.ServerReflection",
    "inference.GRPCInferenceService",
    "seethrough.v1.ImageClassifier",
}
PIXELS = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)


def grpcurl(server: RunningServer, *words: str, data: Any = None, options: tuple[str, ...] = ()) -> str:
    """What grpcurl prints; fails the test when grpcurl fails."""
    sent = [] if data is None else ["-d", json.dumps(data)]
    command = [program("grpcurl"), "-plaintext", *options, *sent, server.grpc, *words]
    ran = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_it_lists_every_service(server: RunningServer) -> None:
    assert set(grpcurl(server, "list").split()) == SERVICES


@pytest.mark.parametrize(
    ("symbol", "part"),
    [
        ("inference.GRPCInferenceService", "rpc ModelStreamInfer ( stream .inference.ModelInferRequest )"),
        ("inference.ModelInferRequest", "repeated bytes raw_input_contents = 7;"),
        ("seethrough.v1.ImageClassifier", "rpc Classify ( .seethrough.v1.ClassifyRequest )"),
    ],
)
def test_it_describes_services_and_messages(server: RunningServer, symbol: str, part: str) -> None:
    assert part in grpcurl(server, "describe", symbol)


def test_it_infers_with_typed_contents_and_reads_typed_ones(server: RunningServer) -> None:
    contents = {"uint_contents": PIXELS.ravel().tolist()}
    tensor = {"name": "pixels", "datatype": "UINT8", "shape": [1, 12, 16, 3], "contents": contents}
    request = {"model_name": "shapes", "id": "by hand", "inputs": [tensor]}
    answer = json.loads(grpcurl(server, "inference.GRPCInferenceService/ModelInfer", data=request))
    assert (answer["model_name"], answer["model_version"], answer["id"]) == ("shapes", "3", "by hand")
    (output,) = answer["outputs"]
    assert (output["name"], output["shape"]) == ("probabilities", ["1", "3"])
    assert sum(output["contents"]["fp32_contents"]) == pytest.approx(1, abs=1e-5)


def test_it_classifies_and_sees_the_request_id_and_the_stages_behind_the_answer(server: RunningServer) -> None:
    raw = {"height": 12, "width": 16, "channels": 3, "data": base64.b64encode(PIXELS.tobytes()).decode()}
    request = {"model": "shapes", "images": [{"pixels": raw}]}
    options = ("-v", "-H", "x-request-id: order-66")
    told = grpcurl(server, "seethrough.v1.ImageClassifier/Classify", data=request, options=options)
    assert '"request_id": "order-66"' in told
    assert "x-request-id: order-66" in told
    assert "server-timing: decode;dur=" in told
