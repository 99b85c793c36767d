"""What runs the pods: containerd and the kubelet, on this machine, which reaches every pod by its address."""

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.containers import engine
from tests.k8s.cluster.programs import BINARIES, NETWORK_PLUGINS, free_ports, run, started, until

_PAUSE = "localhost/pause:1"
_BRIDGE = "seethrough0"
_PODS = "10.77.1.0/24"
# The kubelet sets these for the whole machine.
_KERNEL = ("vm.overcommit_memory", "kernel.panic", "kernel.panic_on_oops", "net.ipv4.ip_forward")


@contextmanager
def node(folder: Path, kubeconfig: Path, images: Sequence[str]) -> Iterator[None]:
    """Runs it for the block, with images of `tests.containers.engine`; `folder` takes its data and logs."""
    containerd = _Containerd(folder)
    settings = [f"{name}={run('sysctl', '-n', name).strip()}" for name in _KERNEL]
    with ExitStack() as stack:
        stack.callback(run, "sysctl", "-qw", *settings)
        stack.callback(_disconnect, folder, _namespaces())
        stack.enter_context(started(["containerd", "-c", containerd.configure()], folder / "containerd.log"))
        stack.callback(containerd.end_all)
        until(containerd.answers, "containerd does not answer; see containerd.log", 60)
        for image in (_pause(), *images):
            containerd.take(image)
        stack.enter_context(started(_kubelet(folder, kubeconfig, containerd.socket), folder / "kubelet.log"))
        yield


class _Containerd:
    """With everything that it keeps in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "containerd"
        self._folder.mkdir()
        self.socket = self._folder / "socket"

    def configure(self) -> Path:
        """The path of its configuration."""
        networks = self._folder / "networks"
        networks.mkdir()
        (networks / "10-bridge.conflist").write_text(json.dumps(self._network()))
        configuration = self._folder / "config.toml"
        configuration.write_text(f"""
version = 2
root = "{self._folder}/root"
state = "{self._folder}/state"
disabled_plugins = [{", ".join(f'"io.containerd.snapshotter.v1.{name}"' for name in ("aufs", "btrfs", "devmapper", "zfs"))}]
[grpc]
  address = "{self.socket}"
[ttrpc]
  address = "{self.socket}.ttrpc"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{_PAUSE}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{NETWORK_PLUGINS}"
    conf_dir = "{networks}"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
""")
        return configuration

    def answers(self) -> bool:
        """Whether it can be asked."""
        return self.socket.exists() and bool(self._ctr("version", check=False))

    def take(self, image: str) -> None:
        """Copies an image out of the store in which it was built."""
        archive = self._folder / "image.tar"
        engine.podman("save", "--quiet", "--output", archive, image)
        self._ctr("images", "import", archive)
        archive.unlink()

    def end_all(self) -> None:
        """Kills what runs, and forgets it."""
        for each in self._ctr("tasks", "ls", "-q", check=False).split():
            self._ctr("tasks", "kill", "--signal", "KILL", each, check=False)
        until(lambda: "RUNNING" not in self._ctr("tasks", "ls", check=False), "containers do not end", 60)
        for each in self._ctr("containers", "ls", "-q", check=False).split():
            self._ctr("tasks", "rm", "--force", each, check=False)
            self._ctr("containers", "rm", each, check=False)

    def _ctr(self, *arguments: str | Path, check: bool = True) -> str:
        return run("ctr", "--address", self.socket, "--namespace", "k8s.io", *arguments, check=check)

    def _network(self) -> dict[str, object]:
        addresses = {
            "type": "host-local",
            "subnet": _PODS,
            "dataDir": f"{self._folder}/addresses",
            "routes": [{"dst": "0.0.0.0/0"}],
        }
        bridge = {"type": "bridge", "bridge": _BRIDGE, "isGateway": True, "ipMasq": False, "ipam": addresses}
        return {"cniVersion": "0.4.0", "name": "trial", "plugins": [bridge]}


def _pause() -> str:
    """The image that holds a pod's network: nothing but an init."""
    container = engine.buildah("from", "scratch").strip()
    engine.buildah("copy", "--quiet", container, "/usr/bin/catatonit", "/catatonit")
    engine.buildah("config", "--entrypoint", '["/catatonit", "-P"]', container)
    engine.buildah("commit", "--quiet", "--rm", container, _PAUSE)
    return _PAUSE


def _kubelet(folder: Path, kubeconfig: Path, socket: Path) -> list[str | Path]:
    (port,) = free_ports(1)
    configuration = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": "127.0.0.1",
        "port": port,
        "readOnlyPort": 0,
        "healthzPort": 0,
        "cgroupDriver": "cgroupfs",
        "failSwapOn": False,
        "oomScoreAdj": 0,
        "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
        "authorization": {"mode": "AlwaysAllow"},
        "resolvConf": "/etc/resolv.conf",
        "nodeStatusUpdateFrequency": "5s",
        "makeIPTablesUtilChains": False,
        # The disk of whoever tries this may be fuller than a cluster's.
        "evictionHard": {"memory.available": "100Mi"},
        "imageGCHighThresholdPercent": 100,
    }
    path = folder / "kubelet.json"
    path.write_text(json.dumps(configuration))
    return [
        *(BINARIES / "kubelet", "--config", path, "--kubeconfig", kubeconfig, "--hostname-override", "localhost"),
        *("--root-dir", folder / "kubelet", "--cert-dir", folder / "kubelet/pki"),
        *("--container-runtime", "remote", "--container-runtime-endpoint", f"unix://{socket}"),
    ]


def _namespaces() -> set[str]:
    """The network namespaces of pods on this machine."""
    return {line.split()[0] for line in run("ip", "netns", "list").splitlines() if line.startswith("cni-")}


def _disconnect(folder: Path, others: set[str]) -> None:
    """Takes away what pods leave behind: network, and mounts below `folder`. `others` are namespaces that were there before."""
    for namespace in _namespaces() - others:
        run("ip", "netns", "del", namespace, check=False)
    run("ip", "link", "del", _BRIDGE, check=False)
    unmount(folder)


def unmount(folder: Path) -> None:
    """Takes away the mounts below `folder`, also those of a trial that was cut off."""
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for each in sorted((each for each in mounts if Path(each).is_relative_to(folder)), reverse=True):
        run("umount", each, check=False)
