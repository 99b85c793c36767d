"""Servers behind a real Envoy, with the configuration that k8s/envoy has for a cluster.

Only what a test must is changed in it: addresses, and how long things take that a test would wait for.
"""

import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import grpc
import yaml

from bench.server_process import RunningServer, serving
from proto import classifier_pb2 as pb
from proto import classifier_pb2_grpc as rpc
from tests.contract.v2.ecosystem import program

CONFIGURATION = Path(__file__).parents[2] / "k8s/envoy/envoy.yaml"
CALLERS = 8
# Longer than Envoy needs to notice: here, its health checks come every 0.2 s.
GRACE = ("--grace-seconds", "2")
# Metadata of calls that may be tried again even if a server has begun to answer them.
REPEATABLE = (("repeat", "yes"),)
REQUEST = pb.ClassifyRequest(
    model="shapes", images=[pb.Image(pixels=pb.RawPixels(height=12, width=16, channels=3, data=bytes(576)))]
)


def free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def configuration(grpc_port: int, status_port: int, admin_port: int, servers: list[int]) -> dict[str, Any]:
    """The cluster's, on these ports of this machine, with shorter intervals."""
    document: dict[str, Any] = yaml.safe_load(CONFIGURATION.read_text())
    listeners = {each["name"]: each for each in document["static_resources"]["listeners"]}
    clusters = {each["name"]: each for each in document["static_resources"]["clusters"]}
    document["admin"]["address"] = _address(admin_port)
    listeners["grpc"]["address"] = _address(grpc_port)
    listeners["status"]["address"] = _address(status_port)
    _point(clusters["admin"], [admin_port])
    _point(clusters["servers"], servers)
    (check,) = clusters["servers"]["health_checks"]
    check.update(interval="0.2s", no_traffic_interval="0.2s")
    options = next(iter(clusters["servers"]["typed_extension_protocol_options"].values()))
    http2 = options["explicit_http_config"]["http2_protocol_options"]
    http2["connection_keepalive"]["interval"] = "1s"
    clusters["servers"]["outlier_detection"]["base_ejection_time"] = "1s"
    return document


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _point(cluster: dict[str, Any], ports: list[int]) -> None:
    (endpoints,) = cluster["load_assignment"]["endpoints"]
    endpoints["lb_endpoints"] = [{"endpoint": {"address": _address(port)}} for port in ports]


@dataclass
class Callers:
    """Ask through Envoy, one call after the other each, and count how the calls end."""

    port: int
    metadata: tuple[tuple[str, str], ...] = ()
    ends: Counter[str] = field(default_factory=Counter)
    _over: threading.Event = field(default_factory=threading.Event)

    def _call(self) -> None:
        with grpc.insecure_channel(f"127.0.0.1:{self.port}") as channel:
            stub = rpc.ImageClassifierStub(channel)
            while not self._over.is_set():
                try:
                    stub.Classify(REQUEST, timeout=10, metadata=self.metadata)
                    self.ends["OK"] += 1
                except grpc.RpcError as error:
                    self.ends[f"{error.code().name}: {error.details()}"] += 1

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Calls are made for the block."""
        threads = [threading.Thread(target=self._call) for _ in range(CALLERS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in threads:
                thread.join()


@dataclass
class Fleet:
    """Servers, and Envoy in front of them."""

    models: Path
    ports: list[int]  # of the servers
    listener: int
    status: int
    admin: int
    envoy: subprocess.Popen[bytes]
    servers: dict[int, ExitStack] = field(default_factory=dict)
    running: dict[int, RunningServer] = field(default_factory=dict)

    def start(self, which: int, module: str = "server", environment: Mapping[str, str] | None = None) -> None:
        """Starts a server on its port; returns when it has loaded its models."""
        stack = self.servers[which] = ExitStack()
        options = (*GRACE, "--grpc-port", str(self.ports[which]))
        server = serving(self.models, *options, module=module, environment=environment)
        self.running[which] = stack.enter_context(server)

    def wait_until(self, holds: Callable[[list[str]], bool]) -> None:
        """Returns when `holds` says so of the lines that Envoy has about its servers."""
        end = time.monotonic() + 30
        while time.monotonic() < end:
            assert self.envoy.poll() is None, "Envoy has ended; its log is above"
            try:
                if holds(self.page("clusters").splitlines()):
                    return
            except URLError:  # it is still starting
                pass
            time.sleep(0.05)
        raise TimeoutError("Envoy did not come to see its servers so")

    def wait_until_seen(self, healthy: int) -> None:
        """Returns when Envoy finds so many servers healthy, and no more."""
        flags = "::health_flags::healthy"
        self.wait_until(lambda lines: sum(each.startswith("servers::") and flags in each for each in lines) == healthy)

    def page(self, path: str) -> str:
        """A page of Envoy's admin interface."""
        with urlopen(f"http://127.0.0.1:{self.admin}/{path}", timeout=5) as page:
            text: str = page.read().decode()
        return text

    def answered(self) -> list[int]:
        """Calls to the classifier that each server has answered, by its own count."""
        return [_answered(self.running[which]) for which in sorted(self.running)]

    def end(self, which: int, how: signal.Signals) -> int:
        """Ends a server; its exit status."""
        process = self.running[which].process
        process.send_signal(how)
        status = process.wait(60)
        self.servers[which].close()
        return status


def _answered(server: RunningServer) -> int:
    with urlopen(f"http://{server.http}/metrics", timeout=5) as page:
        lines = page.read().decode().splitlines()
    counts = [line for line in lines if line.startswith("seethrough_requests_total{") and 'rpc="Classify"' in line]
    return sum(int(float(line.rpartition(" ")[2])) for line in counts)


@contextmanager
def fleet(models: Path, folder: Path, size: int) -> Iterator[Fleet]:
    """`size` servers of `models`, none started yet, and Envoy, whose configuration goes into `folder`. Skips the test where there is no Envoy."""
    envoy = program("envoy")
    listener, status, admin, *servers = free_ports(3 + size)
    path = folder / "envoy.yaml"
    path.write_text(yaml.safe_dump(configuration(listener, status, admin, servers)))
    command = [
        envoy,
        "--config-path",
        str(path),
        "--log-level",
        "critical",
        "--concurrency",
        "1",
        "--base-id",
        str(admin),
    ]
    with ExitStack() as stack:
        process = subprocess.Popen(command)
        stack.callback(process.wait)
        stack.callback(process.terminate)
        found = Fleet(models, servers, listener, status, admin, process)
        try:
            yield found
        finally:
            for running in found.running.values():  # their graces pass at the same time
                running.process.terminate()
            for server in found.servers.values():
                server.close()
