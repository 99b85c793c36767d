"""The server's image, built from the Dockerfile and run as confined as a container can be.

`pytest -m slow tests/containers` builds all images, which downloads packages, and prints how large they are and how long they take to serve.
"""

import ast
import json
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from client import Client
from tests.containers import engine
from tests.containers.callers import Callers
from tests.containers.scans import digits

MODEL = engine.ROOT / "models/digits/1"
MEGABYTE = 1_000_000
MOST_MEGABYTES = 600  # of the cpu flavour, with the base image

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),  # the first build downloads hundreds of megabytes
    pytest.mark.skipif(bool(engine.missing()), reason=engine.missing()),
    pytest.mark.skipif(not MODEL.is_dir(), reason=f"needs {MODEL}: train and export the recipe digits"),
]


@pytest.fixture(scope="session")
def image() -> str:
    return engine.build("cpu")


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Prints a figure that was measured, also of tests that pass."""

    def tell(text: str) -> None:
        with capsys.disabled():
            print(f"\n{text}")  # noqa: T201

    return tell


@contextmanager
def serving(image: str, *arguments: str) -> Iterator[tuple[str, str, "subprocess.Popen[str]"]]:
    """A container that has loaded the digits: its name, host:port of its gRPC, and the podman that waits for it."""
    grpc_port, http_port = _free_port(), _free_port()
    settings = {"GRPC_PORT": str(grpc_port), "HTTP_PORT": str(http_port), "HOST": "127.0.0.1", "GRACE_SECONDS": "1"}
    variables = {f"SEETHROUGH_{name}": value for name, value in settings.items()}
    mounted = [f"--volume={MODEL}:/models/digits/1:ro"]
    with engine.running(image, mounted, arguments, variables) as (name, process):
        assert process.stdout is not None
        assert any(line.startswith("serving ") for line in process.stdout), engine.podman("logs", name)
        yield name, f"127.0.0.1:{grpc_port}", process


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        assert isinstance(port, int)
        return port


def until(condition: Callable[[], bool]) -> None:
    """Returns when `condition` holds; what happens in a container cannot be awaited from here."""
    patience = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < patience
        time.sleep(0.05)


def processes(name: str) -> list[tuple[str, str, list[str]]]:
    """Of every process in a container: id, state and command line."""
    script = (
        "import pathlib\n"
        "for each in pathlib.Path('/proc').glob('[0-9]*'):\n"
        "    state = (each / 'stat').read_text().rpartition(')')[2].split()[0]\n"
        "    print([each.name, state, (each / 'cmdline').read_text().split('\\0')])\n"
    )
    return list(map(ast.literal_eval, engine.podman("exec", name, "python", "-c", script).splitlines()))


def workers(name: str) -> list[str]:
    """The ids of the serving processes in a container that has several."""
    return [each for each, _, command in processes(name) if "server.processes.serving" in command]


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_it_serves_a_mounted_model_and_says_that_it_is_healthy(
    image: str, runtime: str, tell: Callable[[str], None]
) -> None:
    began = time.monotonic()
    with serving(image, "--engine", runtime) as (name, target, process):
        seconds = time.monotonic() - began
        (picture,), (truth,) = digits(1)
        with Client(target) as client:
            (result,) = client.classify([picture], "digits").results
            (info,) = client.models()
        assert (result.predictions[0].label, info.engine) == (truth, runtime)
        kind, *command = engine.inspect(image)["Healthcheck"]["Test"]
        assert kind == "CMD"
        assert engine.podman("exec", name, *command) == ""
        engine.podman("stop", "--time", "60", name)
        assert process.wait(60) == 0
    tell(f"{image}: {seconds:.1f} s from `podman run` to serving with {runtime}")


def test_it_runs_as_nobody_and_cannot_write(image: str) -> None:
    assert engine.inspect(image)["Config"]["User"] == "65532:65532"
    script = "import os, pathlib; print(os.getuid(), os.getgid()); pathlib.Path('/app/new').touch()"
    with engine.running(image, ["--entrypoint", "python"], ["-c", script]) as (_, process):
        assert process.communicate(timeout=120)[0] == "65532 65532\n"
        assert process.returncode == 1


def test_sigterm_under_load_loses_no_call(image: str) -> None:
    (picture,), _ = digits(1)
    with serving(image) as (name, target, process):
        with Callers(target, "digits", picture) as callers:
            callers.wait_for(200)
            engine.podman("kill", "--signal", "TERM", name)
        assert process.wait(120) == 0
    assert callers.ends.total() >= 200
    assert set(callers.ends) == {"OK"}


def test_a_sigterm_while_it_starts_is_not_lost(image: str) -> None:
    """Linux hands process 1 no signal that it has no handler for: one that comes before there is a handler is gone."""
    with engine.running(image, [f"--volume={MODEL}:/models/digits/1:ro", "--detach"]) as (name, starting):
        assert starting.wait(120) == 0
        status = Path("/proc", engine.podman("inspect", "--format", "{{.State.Pid}}", name).strip(), "status")
        until(lambda: _handles(status, signal.SIGTERM))
        engine.podman("kill", "--signal", "TERM", name)
        assert int(engine.podman("wait", name)) in {0, 128 + signal.SIGTERM}


def _handles(status: Path, wanted: signal.Signals) -> bool:
    caught = next(line for line in status.read_text().splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) >> (wanted - 1) & 1)


def test_without_an_init_a_killed_process_is_replaced_and_leaves_no_zombie(image: str) -> None:
    with serving(image, "--processes", "2", "--engine", "onnxruntime") as (name, _, process):
        (first, *_), kill = workers(name), "import os, signal, sys; os.kill(int(sys.argv[1]), signal.SIGKILL)"
        engine.podman("exec", name, "python", "-c", kill, first)
        until(lambda: first not in workers(name) and len(workers(name)) == 2)
        assert "Z" not in {state for _, state, _ in processes(name)}
        engine.podman("kill", "--signal", "TERM", name)
        assert process.wait(120) == 0


def test_it_is_small_and_has_nothing_to_train_with(image: str, tell: Callable[[str], None]) -> None:
    known = engine.inspect(image)
    tell(f"{image}: {known['Size'] / MEGABYTE:.0f} MB with the base image")
    assert known["Size"] <= MOST_MEGABYTES * MEGABYTE
    labels = known["Config"]["Labels"]
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert {"title", "description", "version"} <= {name.rpartition(".")[2] for name in labels}
    script = "from importlib.util import find_spec as find; import sys; print([n for n in sys.argv[1:] if find(n)])"
    names = ["tensorflow", "keras", "onnx", "pip", "training", "exporter", "tests"]
    with engine.running(image, ["--entrypoint", "python"], ["-c", script, *names]) as (_, process):
        assert process.communicate(timeout=120)[0] == "[]\n"


def test_the_gpu_flavour_starts_and_serves_on_a_cpu_too(tell: Callable[[str], None]) -> None:
    image = engine.build("gpu", flavour="gpu")
    tell(f"{image}: {engine.inspect(image)['Size'] / MEGABYTE:.0f} MB with the base image")
    with engine.running(image, arguments=["--help"]) as (_, process):
        assert "Serve model bundles" in process.communicate(timeout=120)[0]
    with serving(image, "--device", "cpu") as (_, target, _process), Client(target) as client:
        (picture,), (truth,) = digits(1)
        assert client.classify([picture], "digits").results[0].predictions[0].label == truth


def test_the_tools_train_and_export_in_a_container_that_is_read_only(tmp_path: Path) -> None:
    image = engine.build("tools", target="tools")
    tmp_path.chmod(0o777)  # another user writes here
    writable = [f"--volume={tmp_path}:/mnt", "--tmpfs", "/tmp"]  # noqa: S108  inside the container
    for command in (
        ["training", "run", "digits", "--set", "training.epochs=1", "--out", "/mnt/run"],
        ["exporter", "keras", "/mnt/run", "--out", "/mnt/models/digits/1"],
    ):
        with engine.running(image, writable, command) as (_, process):
            process.communicate(timeout=1800)
            assert process.returncode == 0
    assert json.loads((tmp_path / "models/digits/1/manifest.json").read_text())["labels"]
