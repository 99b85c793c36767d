"""The manifests and the programs that they start: options that are read, probes that are answered as they are meant."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import grpc
import pytest
import typer
from grpc_health.v1 import health_pb2, health_pb2_grpc

import exporter.__main__
import training.__main__
from bench.server_process import RunningServer, serving
from tests.bundles import make_bundle
from tests.k8s.manifests import FOLDERS, VARIANTS, Document, of_kind, pods, servers, settings
from training import recipe

PRODUCTION = [variant for variant in VARIANTS if "dev" not in variant]
CPU = "overlays/cpu"
TOOLS = {"training": training.__main__.app, "exporter": exporter.__main__.app}


def containers() -> list[tuple[dict[str, str], list[str]]]:
    """Variables and arguments of the containers that run the server, KServe's among them, each once."""
    found = [(settings(variant, each), each.get("args", [])) for variant in VARIANTS for each in servers(variant)]
    (runtime,) = of_kind("kserve", "ServingRuntime")
    found += [({}, each["args"]) for each in runtime["spec"]["containers"]]
    return [each for number, each in enumerate(found) if each not in found[:number]]


def test_the_server_takes_every_option_that_a_manifest_gives_it(tmp_path: Path) -> None:
    """It looks for the models last, and here there are none: its one complaint."""
    missing = str(tmp_path / "models")
    for variables, arguments in containers():
        environment = {**os.environ, **variables}
        command = [sys.executable, "-m", "server", *arguments, "--models", missing]
        ran = subprocess.run(command, check=False, capture_output=True, text=True, env=environment, timeout=60)
        assert ran.returncode == 2, ran.stderr
        assert "is not a folder; export a model there first" in " ".join(ran.stderr.split()), ran.stderr


def jobs() -> Iterator[list[str]]:
    """The arguments of the containers that run the tools."""
    for variant in FOLDERS:
        for each in pods(variant):
            yield from (it["args"] for it in each.containers if it["image"].startswith("seethrough-tools"))


def test_the_tools_take_the_arguments_that_jobs_give_them(tmp_path: Path) -> None:
    """With a folder that is there for every path of the container."""
    assert {arguments[0] for arguments in jobs()} == TOOLS.keys()
    for tool, *given in jobs():
        arguments = [str(tmp_path) if each.startswith("/") else each for each in given]
        group: Any = typer.main.get_command(TOOLS[tool])
        context = group.make_context(tool, list(arguments))
        name, command, rest = group.resolve_command(context, arguments)
        command.make_context(name, rest, parent=context)  # raises a UsageError


def test_recipes_that_jobs_train_are_there() -> None:
    trained = [arguments[2] for arguments in jobs() if arguments[:2] == ["training", "run"]]
    assert trained
    assert set(trained) <= set(recipe.shipped())


@pytest.mark.parametrize("variant", PRODUCTION)
def test_memory_that_a_server_may_take_is_promised_to_it(variant: str) -> None:
    for each in servers(variant):
        assert each["resources"]["requests"]["memory"] == each["resources"]["limits"]["memory"]


def succeeds(probe: Document, server: RunningServer) -> bool:
    """Whether the kubelet would say so, now. Raises HTTPError when an HTTP probe fails: those of ours never should."""
    if "grpc" in probe:
        assert probe["grpc"]["port"] == 8001
        with grpc.insecure_channel(server.grpc) as channel:
            request = health_pb2.HealthCheckRequest(service=probe["grpc"].get("service", ""))
            check = health_pb2_grpc.HealthStub(channel).Check  # type: ignore[attr-defined]
            return bool(check(request, timeout=10).status == health_pb2.HealthCheckResponse.SERVING)
    assert probe["httpGet"]["port"] == "http"
    with urlopen(f"http://{server.http}{probe['httpGet']['path']}", timeout=10) as page:  # raises at 400 and above
        return bool(page.status == 200)


def probes(server: RunningServer) -> dict[str, bool]:
    """Which probes of the Deployment succeed now."""
    (container,) = servers(CPU)
    return {kind: succeeds(container[f"{kind}Probe"], server) for kind in ("startup", "readiness", "liveness")}


@contextmanager
def served(models: Path) -> Iterator[RunningServer]:
    (container,) = servers(CPU)
    variables = settings(CPU, container)
    with serving(models, "--grace-seconds", variables["SEETHROUGH_GRACE_SECONDS"]) as server:
        yield server


def test_a_server_without_a_model_is_alive_and_started_but_gets_no_calls(tmp_path: Path) -> None:
    with served(tmp_path) as server:
        assert probes(server) == {"startup": True, "readiness": False, "liveness": True}


def test_a_server_that_drains_is_alive_and_gets_no_calls(tmp_path: Path) -> None:
    make_bundle(tmp_path / "shapes/1")
    with served(tmp_path) as server:
        assert probes(server) == {"startup": True, "readiness": True, "liveness": True}
        with grpc.insecure_channel(server.grpc) as channel:
            watch = health_pb2_grpc.HealthStub(channel).Watch  # type: ignore[attr-defined]
            changes = watch(health_pb2.HealthCheckRequest(), timeout=30)
            assert next(changes).status == health_pb2.HealthCheckResponse.SERVING
            server.process.send_signal(signal.SIGTERM)
            assert next(changes).status == health_pb2.HealthCheckResponse.NOT_SERVING
            assert probes(server) == {"startup": True, "readiness": False, "liveness": True}
            changes.cancel()
