"""The command by which a container is asked whether it is healthy, against servers of every kind."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.server_process import RunningServer, serving
from tests.bundles import make_bundle
from tests.certificates import Authority


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    make_bundle(folder / "shapes/1")
    return folder


@pytest.fixture(scope="module")
def plain(models: Path) -> Iterator[RunningServer]:
    with serving(models, "--engine", "onnxruntime") as server:
        yield server


def ask(*options: str, **variables: str | Path) -> "subprocess.CompletedProcess[str]":
    """Runs the command with the variables that the server would have."""
    command = [sys.executable, "-m", "server.healthcheck", "--timeout", "30", *options]
    env = os.environ | {name: str(value) for name, value in variables.items()}
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)


def port(address: str) -> str:
    return address.rpartition(":")[2]


def test_a_server_that_serves_is_healthy_and_so_is_each_of_its_models(plain: RunningServer) -> None:
    assert ask(SEETHROUGH_GRPC_PORT=port(plain.grpc)).returncode == 0
    assert ask("--service", "shapes", "--target", plain.grpc).returncode == 0


def test_an_unhealthy_server_is_told_with_its_reason_in_one_line(plain: RunningServer) -> None:
    unknown = ask("--service", "no-such-model", SEETHROUGH_GRPC_PORT=port(plain.grpc))
    assert unknown.returncode == 1
    assert unknown.stderr == f"unhealthy: {plain.grpc} answers NOT_FOUND: \n"


def test_a_server_without_models_is_not_healthy(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        answer = ask(SEETHROUGH_GRPC_PORT=port(server.grpc))
        assert (answer.returncode, answer.stderr) == (1, "unhealthy: the server is NOT_SERVING\n")


def test_nobody_there_is_unhealthy() -> None:
    answer = ask("--target", "127.0.0.1:1")
    assert answer.returncode == 1
    assert answer.stderr.startswith("unhealthy: 127.0.0.1:1 answers UNAVAILABLE: ")
    assert ask(SEETHROUGH_PROBE_PORT="1").returncode == 1


def test_a_server_that_speaks_tls_is_asked_under_its_own_certificate(models: Path, tmp_path: Path) -> None:
    certificate, key = Authority("ours").issue("server").write(tmp_path, "server")
    strange, _ = Authority("theirs").issue("server").write(tmp_path, "strange")
    with serving(models, "--tls-cert", str(certificate), "--tls-key", str(key)) as server:
        grpc_port = port(server.grpc)
        good = ask(SEETHROUGH_GRPC_PORT=grpc_port, SEETHROUGH_TLS_CERT=certificate)
        assert (good.returncode, good.stderr) == (0, "")
        assert ask(SEETHROUGH_GRPC_PORT=grpc_port, SEETHROUGH_TLS_CERT=strange).returncode == 1


def test_a_server_that_only_takes_clients_with_certificates_is_asked_at_its_probe_port(
    models: Path, tmp_path: Path
) -> None:
    authority = Authority("ours")
    certificate, key = authority.issue("server").write(tmp_path, "server")
    clients = authority.write(tmp_path, "clients")
    options = ["--tls-cert", certificate, "--tls-key", key, "--client-ca", clients, "--probe-port", "0"]
    with serving(models, *map(str, options)) as server:
        told: dict[str, str | Path] = {"SEETHROUGH_GRPC_PORT": port(server.grpc), "SEETHROUGH_CLIENT_CA": clients}
        assert ask(**told, SEETHROUGH_PROBE_PORT=port(server.addresses["probes"])).returncode == 0
        without = ask(**told)
        assert without.returncode == 1
        assert "SEETHROUGH_PROBE_PORT" in without.stderr


def test_a_certificate_that_cannot_be_read_is_told() -> None:
    answer = ask(SEETHROUGH_TLS_CERT="/no/such.pem")
    assert answer.stderr == "unhealthy: cannot read SEETHROUGH_TLS_CERT /no/such.pem: No such file or directory\n"


def test_it_is_cheap_to_start_because_it_loads_nothing_of_the_server() -> None:
    listed = "import sys, server.healthcheck; print(*sys.modules, sep='\\n')"
    loaded = subprocess.run([sys.executable, "-c", listed], capture_output=True, text=True, check=True).stdout.split()
    assert not {"numpy", "typer", "rich", "uvloop", "PIL", "onnxruntime", "openvino", "cryptography"} & set(loaded)
    assert {name for name in loaded if name.startswith("server")} == {"server", "server.healthcheck"}
