"""How each server is started: its command line, and the files that it wants."""

import json
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from string import Template

from bench.peers.workload import Workload

ROOT = Path(__file__).parents[2]
TWO_INSTANCES = "2 instances"
_SERVERS = Path(__file__).parent / "servers"
_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
SITE_PACKAGES = f"lib/python{_PYTHON}/site-packages"


@dataclass(frozen=True)
class Setting:
    """One way to run a server, of those that are known to matter."""

    threads: int = 0  # of the engine, for one run; 0 leaves it to the server
    delay_ms: float | None = None  # that a batch may wait to be filled; None: there is none, or no such setting
    variant: str = ""

    @property
    def label(self) -> str:
        """For the table; empty for a server as it comes."""
        threads = {0: "", 1: "1 thread"}.get(self.threads, f"{self.threads} threads")
        delay = "" if self.delay_ms is None else f"delay {self.delay_ms:g} ms"
        return ", ".join(filter(None, (self.variant, threads, delay)))


@dataclass(frozen=True)
class Launch:
    """What a server is to do."""

    workload: Workload
    setting: Setting
    environment: Path  # the virtual environment in which it is installed
    port: int
    other_ports: tuple[int, int]  # for what it also listens on
    folder: Path  # empty, for its files
    max_batch: int


@dataclass(frozen=True)
class Command:
    """How a server is started."""

    arguments: Sequence[str]
    variables: Mapping[str, str] = field(default_factory=dict)  # beside those that `bench.peers.running` sets for all


Starter = Callable[[Launch], Command]


def ours(*options: str) -> Starter:
    """Our own server on the one bundle."""

    def prepare(launch: Launch) -> Command:
        command = [sys.executable, "-m", "server", "--host", "127.0.0.1", "--grace-seconds", "0"]
        command += ["--models", str(launch.workload.bundle), "--model-name", launch.workload.name]
        command += ["--grpc-port", str(launch.port), "--http-port", str(launch.other_ports[0])]
        return Command([*command, "--log-level", "warning", *options])

    return prepare


def script(name: str) -> Starter:
    """A program of `bench.peers.servers`."""
    return lambda launch: Command([str(launch.environment / "bin" / "python"), "-m", f"bench.peers.servers.{name}"])


def triton(launch: Launch) -> Command:
    """The server's binary in the wheel of PyTriton, with a model repository of one Python model."""
    packages = launch.environment / SITE_PACKAGES
    bundled = packages / "pytriton" / "tritonserver"
    backend = launch.folder / "backends" / "python"
    shutil.copytree(bundled / "backends" / "python", backend)
    stub = Path(shutil.copy(bundled / "python_backend_stubs" / _PYTHON / "triton_python_backend_stub", backend))
    stub.chmod(0o755)
    model = launch.folder / "models" / launch.workload.name
    (model / "1").mkdir(parents=True)
    shutil.copy(_SERVERS / "triton_model.py", model / "1" / "model.py")
    (model / "config.pbtxt").write_text(_triton_configuration(launch))
    command = [str(bundled / "bin" / "tritonserver"), f"--model-repository={launch.folder / 'models'}"]
    command += [f"--backend-directory={launch.folder / 'backends'}", "--disable-auto-complete-config"]
    command += ["--grpc-address=127.0.0.1", f"--grpc-port={launch.port}", "--allow-metrics=false"]
    command += ["--http-address=127.0.0.1", f"--http-port={launch.other_ports[0]}"]
    command += [f"--backend-config=python,shm-region-prefix-name=peer-{launch.port}"]
    variables = {"LD_LIBRARY_PATH": packages / "nvidia_pytriton.libs", "PEER_PATHS": f"{ROOT}:{packages}"}
    # The stub carries an interpreter, Debian's, and takes the standard library of the first python3 that it finds.
    return Command(command, {name: str(value) for name, value in variables.items()} | {"PATH": "/usr/bin:/bin"})


def _triton_configuration(launch: Launch) -> str:
    return Template((_SERVERS / "triton.pbtxt").read_text()).substitute(
        name=launch.workload.name,
        max_batch=launch.max_batch,
        shape=", ".join(map(str, launch.workload.shape)),
        classes=launch.workload.classes,
        instances=2 if launch.setting.variant == TWO_INSTANCES else 1,
        delay_us=int(1000 * (launch.setting.delay_ms or 0)),
    )


def mlserver(launch: Launch) -> Command:
    """MLServer, which reads its settings from a folder."""
    http, metrics = launch.other_ports
    server = {"host": "127.0.0.1", "http_port": http, "grpc_port": launch.port, "metrics_port": metrics}
    # Without parallel workers the model runs in the server's own process, which was faster on two cores.
    server |= {"parallel_workers": 0, "metrics_endpoint": None, "debug": False}
    model: dict[str, object] = {
        "name": launch.workload.name,
        "implementation": "bench.peers.servers.mlserver_runtime.OnnxRuntime",
    }
    if launch.setting.delay_ms is not None:
        model |= {"max_batch_size": launch.max_batch, "max_batch_time": launch.setting.delay_ms / 1000}
    (launch.folder / "settings.json").write_text(json.dumps(server))
    (launch.folder / "model-settings.json").write_text(json.dumps(model))
    return Command([str(launch.environment / "bin" / "mlserver"), "start", str(launch.folder)])


def bentoml(launch: Launch) -> Command:
    """BentoML's own command on `bench.peers.servers.bento`."""
    command = [str(launch.environment / "bin" / "bentoml"), "serve", "bench.peers.servers.bento:Classifier"]
    command += ["--working-dir", str(ROOT), "--host", "127.0.0.1", "--port", str(launch.port)]
    return Command(command, {"BENTOML_DO_NOT_TRACK": "True"})
