"""Starting and stopping the server as a person or Kubernetes does."""

import os
import queue
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from bench.server_process import serving
from proto import classifier_pb2 as pb
from proto import classifier_pb2_grpc as rpc
from tests.bundles import make_bundle


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    make_bundle(folder / "shapes/1")
    return folder


def start(*options: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Runs a server that is expected to end by itself."""
    command = [sys.executable, "-m", "server", *options]
    wide = {"COLUMNS": "200", "TERM": "dumb", "NO_COLOR": "1"}
    env = os.environ | wide | environment
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=env, check=False)


def health(channel: grpc.Channel) -> Iterator[health_pb2.HealthCheckResponse]:
    """Every change of the server's health."""
    watch = health_pb2_grpc.HealthStub(channel).Watch  # type: ignore[attr-defined]
    return iter(watch(health_pb2.HealthCheckRequest(service="")))


def test_sigterm_turns_health_off_first_goes_on_answering_and_ends_with_zero(models: Path) -> None:
    with serving(models, "--grace-seconds", "1") as server, grpc.insecure_channel(server.grpc) as channel:
        changes = health(channel)
        assert next(changes).status == health_pb2.HealthCheckResponse.SERVING
        server.process.send_signal(signal.SIGTERM)
        assert next(changes).status == health_pb2.HealthCheckResponse.NOT_SERVING
        image = pb.Image(pixels=pb.RawPixels(height=12, width=16, channels=3, data=bytes(576)))
        answer = rpc.ImageClassifierStub(channel).Classify(pb.ClassifyRequest(model="shapes", images=[image]))
        assert answer.results[0].predictions
        assert server.process.wait(30) == 0


def test_an_open_stream_is_told_to_go_elsewhere_and_does_not_hold_up_the_end(models: Path) -> None:
    image = pb.Image(pixels=pb.RawPixels(height=12, width=16, channels=3, data=bytes(576)))
    requests: queue.SimpleQueue[pb.ClassifyRequest] = queue.SimpleQueue()
    with serving(models, "--drain-seconds", "3600") as server, grpc.insecure_channel(server.grpc) as channel:
        answers = rpc.ImageClassifierStub(channel).ClassifyStream(iter(requests.get, None))
        requests.put(pb.ClassifyRequest(model="shapes", images=[image]))
        assert next(answers).response.results[0].predictions
        server.process.send_signal(signal.SIGTERM)
        with pytest.raises(grpc.RpcError) as told:
            next(answers)
        assert told.value.code() == grpc.StatusCode.UNAVAILABLE
        assert server.process.wait(30) == 0


def test_a_second_signal_ends_the_server_at_once(models: Path) -> None:
    with serving(models, "--grace-seconds", "3600") as server, grpc.insecure_channel(server.grpc) as channel:
        changes = health(channel)
        next(changes)
        server.process.send_signal(signal.SIGTERM)
        assert next(changes).status == health_pb2.HealthCheckResponse.NOT_SERVING
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 128 + signal.SIGTERM


def test_ctrl_c_does_not_wait_for_load_balancers(models: Path) -> None:
    with serving(models, "--grace-seconds", "3600") as server:
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(30) == 0


def test_a_server_without_a_good_bundle_lives_and_is_not_ready(tmp_path: Path) -> None:
    with serving(tmp_path) as server, grpc.insecure_channel(server.grpc) as channel:
        assert next(health(channel)).status == health_pb2.HealthCheckResponse.NOT_SERVING
        assert not rpc.ImageClassifierStub(channel).ListModels(pb.ListModelsRequest()).models


@pytest.mark.parametrize("option", ["--grpc-port", "--http-port"])
def test_a_port_that_is_taken_is_named(models: Path, option: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ports = {"--grpc-port": "0", "--http-port": "0", option: str(port)}
        options = [word for pair in ports.items() for word in pair]
        ended = start("--models", str(models), "--host", "127.0.0.1", *options)
    assert ended.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_models_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    ended = start("--models", str(tmp_path / "nothing"))
    assert ended.returncode == 2
    assert "nothing is not a folder; export a model there first" in ended.stderr


def test_an_unknown_variable_is_an_error_with_a_suggestion(models: Path) -> None:
    ended = start("--models", str(models), SEETHROUGH_MAX_BACH="4")
    assert ended.returncode == 2
    assert "unknown variable SEETHROUGH_MAX_BACH; did you mean SEETHROUGH_MAX_BATCH?" in ended.stderr


def test_settings_can_come_from_variables_and_are_checked_alike(models: Path) -> None:
    ended = start(SEETHROUGH_MODELS=str(models), SEETHROUGH_MAX_BATCH="-1")
    assert ended.returncode == 2
    assert "max-batch" in ended.stderr.lower().replace("_", "-")


def test_every_option_is_explained_and_named_as_a_variable() -> None:
    told = start("--help").stdout
    for option in ("--models", "--grpc-port", "--max-batch", "--max-inflight-images", "--drain-seconds", "--device"):
        assert option in told
        assert "SEETHROUGH_" + option.lstrip("-").upper().replace("-", "_") in told


@pytest.mark.parametrize("folder", ["shapes", "shapes/1"])
def test_one_model_by_itself_is_served_under_the_name_that_is_given(models: Path, folder: str) -> None:
    with (
        serving(models / folder, "--model-name", "cats") as server,
        grpc.insecure_channel(server.grpc) as channel,
    ):
        (model,) = rpc.ImageClassifierStub(channel).ListModels(pb.ListModelsRequest()).models
    assert (model.name, model.version, model.state) == ("cats", 1, pb.MODEL_STATE_SERVING)
