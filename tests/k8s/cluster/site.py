"""What is tried: our overlay, applied to a cluster, with a volume of models that the trial can write to."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from client import Client
from tests.containers import engine
from tests.k8s.cluster.control_plane import control_plane
from tests.k8s.cluster.kubectl import Document, Kubectl
from tests.k8s.cluster.node import node, unmount
from tests.k8s.cluster.programs import FOLDER, until

OVERLAY = Path(__file__).parent / "overlay"
MODEL, BUNDLE = "digits", engine.ROOT / "models/digits/1"
SELECTOR = "app.kubernetes.io/name=seethrough,app.kubernetes.io/component=server"
_CONTAINER_PORTS = (8001, 8000)


@dataclass(frozen=True)
class Pod:
    """One that the Service names: it is ready."""

    name: str
    address: str

    @property
    def grpc(self) -> str:
        """host:port of its gRPC port."""
        return f"{self.address}:{_CONTAINER_PORTS[0]}"

    @property
    def http(self) -> str:
        """host:port of its HTTP port."""
        return f"{self.address}:{_CONTAINER_PORTS[1]}"


@dataclass(frozen=True)
class Site:
    """The cluster, and the folder that the pods see as /models."""

    kubectl: Kubectl
    models: Path

    def pods(self) -> list[Pod]:
        """Those behind the headless Service, which is what DNS would name."""
        found = self.kubectl.get("endpoints", "seethrough-headless")
        addresses = [each for subset in found.get("subsets", []) for each in subset.get("addresses", [])]
        return sorted((Pod(each["targetRef"]["name"], each["ip"]) for each in addresses), key=lambda pod: pod.name)

    def wait_for_pods(self, count: int, seconds: float = 600) -> float:
        """Until that many are behind the Service; the seconds that it took. Raises TimeoutError."""
        return until(lambda: len(self.pods()) == count, f"{count} pods behind the Service", seconds)

    def client(self) -> Client:
        """Calls all pods in turn, and repeats no call."""
        return Client("ipv4:" + ",".join(pod.grpc for pod in self.pods()), timeout=60, retries=0)

    def publish(self, version: int, *, damaged: bool = False) -> None:
        """Puts the bundle into the volume, as a version of the model, whole; `damaged` with one bit of its graph turned."""
        staged = shutil.copytree(BUNDLE, self.models.parent / "staged")
        if damaged:
            graph = bytearray((staged / "model.onnx").read_bytes())
            graph[len(graph) // 2] ^= 1
            (staged / "model.onnx").write_bytes(graph)
        folder = self.models / MODEL
        folder.mkdir(exist_ok=True)
        staged.rename(folder / str(version))

    def described(self) -> str:
        """What a person would look at when something has gone wrong."""
        pods = self.kubectl("describe", "pods", check=False)
        return pods + self.kubectl("logs", "--selector", SELECTOR, "--tail", "50", "--prefix", check=False)


@contextmanager
def site(image: str) -> Iterator[Site]:
    """A fresh cluster for the block, with a claim `models` that is bound to a folder of this machine. Logs stay in build/k8s/run."""
    folder = FOLDER / "run"
    unmount(folder)
    shutil.rmtree(folder, ignore_errors=True)
    models = folder / "models"
    models.mkdir(parents=True)
    with control_plane(folder) as kubectl, node(folder, kubectl.configuration, [image]):
        site = Site(kubectl, models)
        until(lambda: " Ready " in kubectl("get", "nodes", check=False), "the node is not ready; see kubelet.log")
        kubectl("create", "namespace", kubectl.namespace)
        kubectl.apply(*_volume(models))
        try:
            yield site
        finally:
            kubectl("delete", "deployment", "--all", "--wait=false", check=False)


def _volume(models: Path) -> tuple[Document, Document]:
    """A volume on the node, and the claim that has it."""
    spec: Document = {"accessModes": ["ReadOnlyMany"], "storageClassName": ""}
    kept = spec | {"capacity": {"storage": "1Gi"}, "hostPath": {"path": str(models)}}
    asked = spec | {"volumeName": "models", "resources": {"requests": {"storage": "1Gi"}}}
    return (
        {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "models"}, "spec": kept},
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "models"}, "spec": asked},
    )
