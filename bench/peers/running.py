"""A peer that is up: started, seen to answer rightly, measured, and stopped."""

import os
import random
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bench import loadgen, meters
from bench.loadgen import Calls, Load
from bench.meters import Batches
from bench.peers import processes
from bench.peers.limits import Form
from bench.peers.peers import OWN_ENVIRONMENT, Peer, installed
from bench.peers.processes import Tree
from bench.peers.servers.graph import COUNTERS
from bench.peers.starters import ROOT, Launch, Setting
from bench.peers.workload import Workload

_LONGEST_START_SECONDS = 120.0
_POLL_SECONDS = 0.02
_PORTS = range(20_000, 30_000)  # below those that Linux gives to outgoing connections
_VERSION = "1"  # what our server calls a bundle that it is given by itself


class PeerError(Exception):
    """A server cannot be started, or does not answer as it must; the message says why."""


@dataclass(frozen=True)
class Running:
    """A server that answers rightly."""

    target: str  # HOST:PORT
    calls: Calls
    form: Form  # what it runs
    tree: Tree
    start_seconds: float  # from its start to its first answer
    batches: Callable[[], Batches]

    def load(self, clients: int, seconds: float) -> tuple[Load, float]:
        """Its figures under so many clients, and the mean number of images in a run.

        Raises PeerError when an answer is wrong or the load cannot be finished.
        """
        before, family = self.batches(), self.tree.processes()
        try:
            load = loadgen.run(
                self.target,
                self.calls,
                clients=clients,
                seconds=seconds,
                meter=lambda: processes.cpu_seconds(family),
            )
            if load.errors:
                raise PeerError(f"{load.errors} of {len(load.latencies)} answers wrong, the first: {load.first_error}")
            return load, self.batches().mean_since(before)
        except (RuntimeError, OSError) as error:
            raise PeerError(str(error)) from error


@contextmanager
def running(peer: Peer, workload: Workload, setting: Setting, max_batch: int) -> Iterator[Running]:
    """Starts a server for the block. Raises PeerError when it does not come up or gives a wrong answer."""
    _check_installed(peer)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="peer-", ignore_cleanup_errors=True)))
        port, http, other = _free_ports(3)
        launch = Launch(workload, setting, peer.environment, port, (http, other), folder, max_batch)
        talk, started = peer.talk_of(setting), time.monotonic()
        tree = _start(peer, launch)
        stack.callback(tree.stop)
        target, calls = f"127.0.0.1:{port}", talk.calls(workload)
        _wait_for_answer(tree, target, calls, started)
        taken = time.monotonic() - started
        form = _form(f"127.0.0.1:{http}", workload) if peer.is_ours else workload.forms[0]
        judged = replace(calls, judge=workload.judge(form, talk.decode))
        _check_every_answer(target, judged)
        count = _our_batches(f"127.0.0.1:{http}", workload) if peer.is_ours else _their_batches(folder)
        yield Running(target, judged, form, tree, taken, count)


def _check_installed(peer: Peer) -> None:
    if peer.is_ours:
        return
    if not peer.version:
        raise PeerError(f"{peer.package} is not installed: `make build/venvs/peers/{peer.name}/.ready`")
    theirs, ours = (installed(each, "onnxruntime") for each in (peer.environment, OWN_ENVIRONMENT))
    if theirs != ours:
        raise PeerError(f"it has ONNX Runtime {theirs}, our server {ours}: `make lock bench-peers` renews it")


def _start(peer: Peer, launch: Launch) -> Tree:
    try:
        command = peer.start(launch)
        return processes.start(command.arguments, {**_variables(launch), **command.variables}, launch.folder)
    except OSError as error:  # part of it is not there, or not for this machine
        raise PeerError(f"cannot be started: {error}") from error


def _free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, and that the system does not give to outgoing connections while a server takes its time."""
    found: list[int] = []
    for port in random.sample(_PORTS, len(_PORTS)):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                found.append(port)
        if len(found) == count:
            return found
    raise PeerError(f"no {count} free ports between {_PORTS.start} and {_PORTS.stop}")


def _variables(launch: Launch) -> dict[str, str]:
    """The environment of a peer: this one without what belongs to this program's, and what `servers.graph` reads."""
    inherited = {name: text for name, text in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")}
    options = {
        "GRAPH": launch.workload.graph,
        "NAME": launch.workload.name,
        "SHAPE": ",".join(map(str, launch.workload.shape)),
        "CLASSES": launch.workload.classes,
        "PORT": launch.port,
        "OTHER_PORT": launch.other_ports[0],
        "THREADS": launch.setting.threads,
        "MAX_BATCH": launch.max_batch,
        "DELAY_MS": launch.setting.delay_ms or 0,
        "VARIANT": launch.setting.variant,
        "COUNTERS": launch.folder,
    }
    return {
        **inherited,
        **{f"PEER_{name}": str(value) for name, value in options.items()},
        "PATH": f"{launch.environment / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "HOME": str(launch.folder),  # some write there
        "TMPDIR": str(launch.folder),
        "OMP_NUM_THREADS": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
        "no_proxy": "127.0.0.1,localhost",
    }


def _wait_for_answer(tree: Tree, target: str, calls: Calls, started: float) -> None:
    """Until a call succeeds; whether the answer is right is asked later."""
    wrong = "nobody listens"
    while time.monotonic() < started + _LONGEST_START_SECONDS:
        if (status := tree.root.poll()) is not None:
            raise PeerError(f"ended with status {status}: {tree.complaint()}")
        try:
            load = loadgen.run(target, calls, seconds=0, warm_up_seconds=0)
            if not load.errors:
                return
            wrong = load.first_error
        except RuntimeError as error:
            wrong = str(error)
        time.sleep(_POLL_SECONDS)
    raise PeerError(f"no answer after {_LONGEST_START_SECONDS:.0f} seconds: {wrong}; its log ends: {tree.complaint()}")


def _check_every_answer(target: str, calls: Calls) -> None:
    """One call for each request, all at the same time, so that they meet in batches."""
    try:
        load = loadgen.run(target, calls, clients=len(calls.bodies), seconds=0, warm_up_seconds=0)
    except RuntimeError as error:
        raise PeerError(str(error)) from error
    if load.errors:
        raise PeerError(f"wrong before any load: {load.first_error}")


def _form(http: str, workload: Workload) -> Form:
    """What our server runs, of its own choice or as it was told."""
    told = meters.runs_on(http, workload.name, _VERSION)
    found = [each for each in workload.forms if told.startswith(f"{each.label} ")]
    if not found:
        raise PeerError(f"it runs {told}, which the bundle does not have for this machine")
    return found[0]


def _our_batches(http: str, workload: Workload) -> Callable[[], Batches]:
    return lambda: meters.batches(http, workload.name, _VERSION)


def _their_batches(folder: Path) -> Callable[[], Batches]:
    """What the processes of `servers.graph` have counted, each in a file of its own."""

    def count() -> Batches:
        found = [COUNTERS.unpack(file.read_bytes()) for file in folder.glob("batches-*")]
        return Batches(sum(images for images, _ in found), sum(runs for _, runs in found))

    return count
