"""grpc.health.v1, server reflection and the HTTP port, as Kubernetes, Envoy, grpcurl and Prometheus use them."""

import subprocess
import urllib.error
import urllib.request

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from bench.server_process import RunningServer
from tests.contract.refusals import refusal
from tests.e2e.tools import needed

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


def get(server: RunningServer, path: str) -> str:
    with urllib.request.urlopen(f"http://{server.http}{path}", timeout=10) as response:
        text: str = response.read().decode()
        return text


@pytest.mark.parametrize(
    ("service", "status"),
    [
        ("", SERVING),
        ("seethrough.v1.ImageClassifier", SERVING),
        ("shapes", SERVING),
        ("flipped", NOT_SERVING),
    ],
)
def test_health_tells_of_the_server_and_of_each_model(server: RunningServer, service: str, status: int) -> None:
    with grpc.insecure_channel(server.grpc) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        assert stub.Check(health_pb2.HealthCheckRequest(service=service)).status == status  # type: ignore[attr-defined]
        watch = stub.Watch(health_pb2.HealthCheckRequest(service=service))  # type: ignore[attr-defined]
        assert next(iter(watch)).status == status
        watch.cancel()


def test_health_of_an_unknown_service_is_not_found(server: RunningServer) -> None:
    with grpc.insecure_channel(server.grpc) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        code, _ = refusal(stub.Check, health_pb2.HealthCheckRequest(service="nobody"))  # type: ignore[attr-defined]
    assert code == grpc.StatusCode.NOT_FOUND


def test_reflection_lists_the_services_and_describes_the_messages(server: RunningServer) -> None:
    with grpc.insecure_channel(server.grpc) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        assert set(database.get_services()) >= {"seethrough.v1.ImageClassifier", "grpc.health.v1.Health"}
        described = database.FindFileContainingSymbol("seethrough.v1.ClassifyRequest")
    assert "ClassifyRequest" in [message.name for message in described.message_type]


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_a_server_with_a_model_in_service_is_live_and_ready(server: RunningServer, path: str) -> None:
    assert get(server, path) == "ok\n"


def test_an_unknown_path_is_not_found(server: RunningServer) -> None:
    with pytest.raises(urllib.error.HTTPError) as not_found:
        get(server, "/nothing")
    not_found.value.close()
    assert not_found.value.code == 404


def test_the_metrics_page_passes_promtool(server: RunningServer) -> None:
    promtool = needed("promtool", package="prometheus")
    checked = subprocess.run(
        [promtool, "check", "metrics"], check=False, input=get(server, "/metrics"), text=True, capture_output=True
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_the_metrics_name_each_version_its_state_and_what_runs_it(server: RunningServer) -> None:
    page = get(server, "/metrics").splitlines()
    runs = 'device="cpu",engine="onnxruntime",model="shapes",precision="fp32",version="3"'
    assert f"seethrough_model_info{{{runs}}} 1.0" in page
    assert 'seethrough_model_state{model="wrong",state="refused",version="1"} 1.0' in page
    assert 'seethrough_loads_total{outcome="refused"} 4.0' in page
