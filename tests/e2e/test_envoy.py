"""Two servers behind Envoy, with health checks: restarts cost nobody anything, and a kill costs only what was in work there."""

import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from urllib.error import URLError
from urllib.request import urlopen

import grpc
import pytest

from bench.server_process import RunningServer, serving
from proto import classifier_pb2 as pb
from proto import classifier_pb2_grpc as rpc
from tests.bundles import make_bundle
from tests.contract.v2.ecosystem import program

CONFIGURATION = Path(__file__).parent / "envoy.yaml"
CALLERS = 8
# Longer than Envoy needs to notice: its health checks come every 0.2 s.
GRACE = ("--grace-seconds", "2")
RETRIED = (("repeat", "yes"),)


def free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@dataclass
class Callers:
    """Ask through Envoy, one call after the other each, and count how the calls end."""

    port: int
    metadata: tuple[tuple[str, str], ...] = ()
    ends: Counter[str] = field(default_factory=Counter)
    _over: threading.Event = field(default_factory=threading.Event)

    def _call(self) -> None:
        image = pb.Image(pixels=pb.RawPixels(height=12, width=16, channels=3, data=bytes(576)))
        request = pb.ClassifyRequest(model="shapes", images=[image])
        with grpc.insecure_channel(f"127.0.0.1:{self.port}") as channel:
            stub = rpc.ImageClassifierStub(channel)
            while not self._over.is_set():
                try:
                    stub.Classify(request, timeout=10, metadata=self.metadata)
                    self.ends["OK"] += 1
                except grpc.RpcError as error:
                    self.ends[f"{error.code().name}: {error.details()}"] += 1

    @contextmanager
    def at_work(self) -> Iterator[None]:
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
class Pair:
    """Two servers, and Envoy in front of them."""

    models: Path
    ports: list[int]
    listener: int
    admin: int
    servers: list[ExitStack] = field(default_factory=list)
    running: list[RunningServer] = field(default_factory=list)

    def start(self, which: int) -> None:
        """Starts a server on its port; returns when Envoy sends it calls."""
        stack = ExitStack()
        server = stack.enter_context(serving(self.models, *GRACE, "--grpc-port", str(self.ports[which])))
        self.servers[which:] = [stack, *self.servers[which + 1 :]]
        self.running[which:] = [server, *self.running[which + 1 :]]

    def wait_until_seen(self, healthy: int) -> None:
        """Returns when Envoy finds so many servers healthy."""
        end = time.monotonic() + 30
        while time.monotonic() < end:
            try:
                with urlopen(f"http://127.0.0.1:{self.admin}/clusters", timeout=5) as page:
                    if page.read().decode().count("health_flags::healthy") == healthy:
                        return
            except URLError:  # it is still starting
                pass
            time.sleep(0.05)
        raise TimeoutError(f"Envoy did not find {healthy} servers healthy")

    def end(self, which: int, how: signal.Signals) -> int:
        """Ends a server; its exit status."""
        process = self.running[which].process
        process.send_signal(how)
        status = process.wait(60)
        self.servers[which].close()
        return status


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    envoy = program("envoy")
    make_bundle(tmp_path / "models/shapes/1")
    first, second, listener, admin = free_ports(4)
    ports = {"ADMIN": admin, "LISTENER": listener, "FIRST": first, "SECOND": second}
    configuration = tmp_path / "envoy.yaml"
    configuration.write_text(Template(CONFIGURATION.read_text()).substitute(ports))
    found = Pair(tmp_path / "models", [first, second], listener, admin)
    command = [
        envoy,
        "--config-path",
        str(configuration),
        "--log-level",
        "error",
        "--concurrency",
        "1",
        "--base-id",
        str(admin),
    ]
    with ExitStack() as stack:
        for which in (0, 1):
            found.start(which)
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        stack.callback(process.wait)
        stack.callback(process.terminate)
        found.wait_until_seen(2)
        yield found
        for server in found.servers:
            server.close()


@pytest.mark.parametrize("restarts", [2, pytest.param(10, marks=pytest.mark.slow)])
def test_restarting_servers_in_turn_fails_no_call(pair: Pair, restarts: int) -> None:
    callers = Callers(pair.listener)
    with callers.at_work():
        for number in range(restarts):
            assert pair.end(number % 2, signal.SIGTERM) == 0
            pair.start(number % 2)
            pair.wait_until_seen(2)
    assert set(callers.ends) == {"OK"}, callers.ends


def test_a_kill_fails_no_more_than_the_calls_in_work_there(pair: Pair) -> None:
    callers = Callers(pair.listener)
    with callers.at_work():
        pair.end(0, signal.SIGKILL)
        pair.wait_until_seen(1)
    failed = callers.ends.total() - callers.ends["OK"]
    assert failed <= CALLERS, callers.ends
    assert {end.partition(":")[0] for end in callers.ends} <= {"OK", "UNAVAILABLE"}


def test_a_kill_fails_nobody_whose_calls_are_tried_again(pair: Pair) -> None:
    callers = Callers(pair.listener, RETRIED)
    with callers.at_work():
        pair.end(0, signal.SIGKILL)
        pair.wait_until_seen(1)
    assert set(callers.ends) == {"OK"}, callers.ends
