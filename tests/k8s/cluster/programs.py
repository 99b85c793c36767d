"""The programs of a cluster: which there must be, and how they are started, waited for and ended."""

import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.containers import engine
from tests.k8s.manifests import PROGRAMS, ROOT

FOLDER = ROOT / "build/k8s"
BINARIES = FOLDER / "bin"
NETWORK_PLUGINS = Path("/usr/lib/cni")
_NEEDED = {
    "catatonit": "catatonit",
    "etcd": "etcd-server",
    "containerd": "containerd",
    "ctr": "containerd",
    "ip": "iproute2",
    "iptables": "iptables",
    "openssl": "openssl",
}


def missing() -> str:
    """What keeps this machine from running a cluster, and what to do; empty when nothing does."""
    if no_images := engine.missing():
        return no_images
    packages = {package for name, package in _NEEDED.items() if not shutil.which(name)}
    packages |= set() if (NETWORK_PLUGINS / "bridge").exists() else {"containernetworking-plugins"}
    if packages:
        return f"on Debian, apt install --no-install-recommends {' '.join(sorted(packages))}"
    if not (BINARIES / "kubelet").exists():
        return "Kubernetes is not built: make build/k8s/bin/kubelet does it, once, in some 10 minutes"
    return "" if (PROGRAMS / "kubectl").exists() else "no kubectl: build its environment with `make deploy`"


def free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@contextmanager
def started(command: Sequence[str | Path], log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Runs a program in a session of its own for the block; what it says goes to a file."""
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        ) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


def until(condition: Callable[[], bool], what: str, seconds: float = 300) -> float:
    """Returns when `condition` holds, after how many seconds. Raises TimeoutError, which names `what` was waited for."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > seconds:
            raise TimeoutError(f"after {seconds:.0f} s: {what}")
        time.sleep(0.2)
    return time.monotonic() - began


def run(*command: str | Path, check: bool = True) -> str:
    """What a command printed. Raises CalledProcessError, unless it does not matter how it ends: then it says nothing, either."""
    errors = None if check else subprocess.DEVNULL
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=errors, text=True, check=check).stdout
