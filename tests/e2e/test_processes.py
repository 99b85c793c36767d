"""Several serving processes on one port, started, killed and stopped as the world does it."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from bench.server_process import RunningServer, serving
from tests.bundles import make_bundle
from tests.contract.http.asking import ask
from tests.e2e.test_lifecycle import start

INFER = json.dumps(
    {"inputs": [{"name": "pixels", "datatype": "UINT8", "shape": [1, 12, 16, 3], "data": [7] * 576}]}
).encode()
OK = 'seethrough_images_total{model="shapes",outcome="ok",version="1"}'


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    make_bundle(folder / "shapes/1")
    return folder


@pytest.fixture(params=["off"])
def server(models: Path, request: pytest.FixtureRequest) -> Iterator[RunningServer]:
    """Two serving processes, each with an engine of its own."""
    options = ("--processes", "2", "--device", "cpu", "--engine", "onnxruntime", "--engine-process", request.param)
    with serving(models, *options) as running:
        yield running


either_way = pytest.mark.parametrize("server", ["off", "on"], indirect=True, ids="engine process {}".format)


def connect(server: RunningServer) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(server.http, timeout=60)


def infer(connection: http.client.HTTPConnection) -> str:
    """Asks once, and returns which process answered: each has its own beginning of request ids."""
    connection.request("POST", "/v2/models/shapes/infer", INFER, {"content-type": "application/json"})
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
    answer.read()
    return answer.headers["x-request-id"].split("-")[0]


def figures(server: RunningServer) -> dict[str, float]:
    """The page of metrics, by name and labels as they are written there."""
    lines = ask(server.http, "GET", "/metrics").body.decode().splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))}


def until(condition: Callable[[], bool]) -> None:
    """Returns when `condition` holds; processes cannot be awaited from here."""
    patience = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < patience
        time.sleep(0.01)


def children(server: RunningServer, module: str = "server.processes.serving") -> list[psutil.Process]:
    """The processes of a kind."""
    return [each for each in psutil.Process(server.process.pid).children() if module in each.cmdline()]


@dataclass
class Caller(threading.Thread):
    """Asks on one connection, again and again, until told to stop or the connection breaks."""

    server: RunningServer
    processes: Counter[str] = field(default_factory=Counter)
    broken: bool = False
    stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        super().__init__()
        self.start()

    def run(self) -> None:
        with closing(connect(self.server)) as connection:
            try:
                while not self.stop.is_set():
                    self.processes[infer(connection)] += 1
            except (OSError, http.client.HTTPException):
                self.broken = True

    __hash__ = threading.Thread.__hash__


@either_way
def test_every_process_answers_and_the_metrics_of_any_are_those_of_all(server: RunningServer) -> None:
    answered: Counter[str] = Counter()
    while len(answered) < 2 or answered.total() < 20:
        with closing(connect(server)) as connection:
            answered.update(infer(connection) for _ in range(3))
    assert len(children(server)) == 2
    for _ in range(8):  # connections that go to one process or the other
        told = figures(server)
        assert told[OK] == answered.total()
        assert told['seethrough_stage_seconds_count{model="shapes",stage="total",version="1"}'] == answered.total()
        assert told['seethrough_model_state{model="shapes",state="serving",version="1"}'] == 1
        assert told["seethrough_processes"] == 2
        assert told["seethrough_process_restarts_total"] == 0


@either_way
def test_a_killed_process_takes_only_its_own_connections_along_and_another_takes_its_place(
    server: RunningServer,
) -> None:
    callers = [Caller(server) for _ in range(8)]
    while len({process for caller in callers for process in caller.processes}) < 2:
        callers.append(Caller(server))
    before = figures(server)[OK]
    children(server)[0].send_signal(signal.SIGKILL)
    until(lambda: any(caller.broken for caller in callers))
    counts = [before]
    while counts[-1] < before + 200 or not restarted(server):
        counts.append(count(server) or counts[-1])
    for caller in callers:
        caller.stop.set()
        caller.join()
    assert counts == sorted(counts)
    assert len({process for caller in callers if caller.broken for process in caller.processes}) == 1
    assert len({process for caller in callers if not caller.broken for process in caller.processes}) == 1
    assert figures(server)["seethrough_processes"] == 2


def count(server: RunningServer) -> float | None:
    """The counter of answered images; None when the process that was asked ended meanwhile."""
    try:
        return figures(server)[OK]
    except (OSError, http.client.HTTPException):
        return None


def restarted(server: RunningServer) -> bool:
    """Whether two processes serve again, after one had ended."""
    try:
        told = figures(server)
    except (OSError, http.client.HTTPException):
        return False
    return told["seethrough_process_restarts_total"] == 1 and told["seethrough_processes"] == 2


@pytest.mark.parametrize("server", ["on"], indirect=True)
def test_an_engine_process_that_is_killed_is_started_again_and_counts_go_on(server: RunningServer) -> None:
    with closing(connect(server)) as connection:
        infer(connection)
    before = figures(server)
    children(server, "server.processes.engine")[0].kill()
    until(lambda: restarted(server))
    until(lambda: ready_model(server))
    with closing(connect(server)) as connection:
        until(lambda: answers(connection))
    after = figures(server)
    batches = 'seethrough_batch_images_count{model="shapes",version="1"}'
    assert (before[batches], after[batches]) == (1, 2)
    assert after[OK] == 2


def answers(connection: http.client.HTTPConnection) -> bool:
    """Whether the process at the other end has heard of the new engine process."""
    connection.request("POST", "/v2/models/shapes/infer", INFER, {"content-type": "application/json"})
    with connection.getresponse() as answer:
        answer.read()
        return answer.status == 200


def test_a_process_that_hangs_is_counted_by_what_it_last_told(server: RunningServer) -> None:
    answered: Counter[str] = Counter()
    while len(answered) < 2:
        with closing(connect(server)) as connection:
            answered[infer(connection)] += 1
    assert figures(server)[OK] == answered.total()
    # Connections that are open already go on to be answered by the process that took them.
    with closing(connect(server)) as connection:
        connection.request("GET", "/metrics")
        connection.getresponse().read()
        pid = next(child.pid for child in children(server) if not holds(child, connection))
        os.kill(pid, signal.SIGSTOP)
        try:
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
        finally:
            os.kill(pid, signal.SIGCONT)
    assert f'{{model="shapes",outcome="ok",version="1"}} {answered.total():.1f}' in text


def holds(process: psutil.Process, connection: http.client.HTTPConnection) -> bool:
    """Whether the other end of a connection belongs to a process."""
    mine = connection.sock.getsockname()
    return any(tuple(each.raddr) == mine for each in process.net_connections("tcp") if each.raddr)


@pytest.mark.parametrize("engine_process", ["off", "on"])
def test_sigterm_finishes_what_is_in_work_in_every_process(models: Path, engine_process: str) -> None:
    options = ("--processes", "2", "--device", "cpu", "--engine-process", engine_process, "--grace-seconds", "1")
    with serving(models, *options) as server:
        callers = [Caller(server) for _ in range(8)]
        until(lambda: all(caller.processes for caller in callers))
        server.process.send_signal(signal.SIGTERM)
        until(lambda: ask_ready(server) != 200)
        for caller in callers:
            caller.stop.set()
            caller.join()
        assert not any(caller.broken for caller in callers)
        assert server.process.wait(30) == 0


def ask_ready(server: RunningServer) -> int:
    return ask(server.http, "GET", "/readyz").status


def test_a_second_signal_ends_all_at_once(models: Path) -> None:
    with serving(models, "--processes", "2", "--device", "cpu", "--grace-seconds", "3600") as server:
        processes = children(server)
        server.process.send_signal(signal.SIGTERM)
        until(lambda: ask_ready(server) == 503)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 128 + signal.SIGTERM
        assert not psutil.wait_procs(processes, 30)[1]


def test_no_process_outlives_a_supervisor_that_is_killed(server: RunningServer) -> None:
    processes = psutil.Process(server.process.pid).children()
    server.process.kill()
    assert not psutil.wait_procs(processes, 30)[1]


@either_way
def test_a_model_that_is_unloaded_by_one_connection_is_unloaded_in_all_also_after_a_restart(
    server: RunningServer,
) -> None:
    unload = "/v2/repository/models/shapes/unload"
    assert ask(server.http, "POST", unload, b"{}").status == 200
    assert {ready_model(server) for _ in range(16)} == {False}
    children(server)[0].kill()
    until(lambda: restarted(server))
    assert {ready_model(server) for _ in range(16)} == {False}
    assert ask(server.http, "POST", "/v2/repository/models/shapes/load", b"{}").status == 200
    assert {ready_model(server) for _ in range(16)} == {True}
    assert ask(server.http, "POST", "/v2/repository/models/none/load", b"{}").status == 404


def ready_model(server: RunningServer) -> bool:
    return ask(server.http, "GET", "/v2/models/shapes/ready").status == 200


@pytest.mark.parametrize("option", ["--grpc-port", "--http-port"])
def test_a_port_that_is_taken_is_named(models: Path, option: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ports = {"--grpc-port": "0", "--http-port": "0", option: str(port)}
        options = [word for pair in ports.items() for word in pair]
        ended = start("--models", str(models), "--host", "127.0.0.1", "--processes", "2", *options)
    assert ended.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_processes_without_a_good_bundle_live_and_are_not_ready(tmp_path: Path) -> None:
    with serving(tmp_path, "--processes", "2") as server:
        answer = ask(server.http, "GET", "/readyz")
    assert answer.status == 503
    assert b"no model in service" in answer.body


def test_processes_that_cannot_even_start_end_the_server_with_a_reason(models: Path) -> None:
    # The processes look for the server where this one did not find it.
    code = "import sys; sys.path.insert(0, '.'); from server.__main__ import cli; cli()"
    options = ("--models", str(models), "--grpc-port", "0", "--http-port", "0", "--processes", "2")
    command = [sys.executable, "-c", code, *options]
    environment = os.environ | {"PYTHONSAFEPATH": "1"}
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=60)
    assert ended.returncode == 1
    assert "error: 5 processes in a row ended before they could serve" in ended.stderr
    assert "Traceback" not in ended.stderr
