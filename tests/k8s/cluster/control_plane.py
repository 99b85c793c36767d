"""What decides in a cluster: etcd, API server, controllers and scheduler, on loopback and on free ports."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.k8s.cluster.kubectl import Kubectl
from tests.k8s.cluster.programs import BINARIES, free_ports, run, started, until

_LOOPBACK = "127.0.0.1"


@contextmanager
def control_plane(folder: Path) -> Iterator[Kubectl]:
    """Runs it for the block; `folder` takes its data and logs."""
    etcd, peer, api, controllers, scheduler = free_ports(5)
    kubectl = Kubectl(_configuration(folder, api))
    access = [
        f"--{name}={kubectl.configuration}"
        for name in ("kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig")
    ]
    own = [f"--bind-address={_LOOPBACK}", "--port=0", "--leader-elect=false", *access]
    with ExitStack() as stack:

        def start(name: str, *command: str | Path) -> None:
            stack.enter_context(started(command, folder / f"{name}.log"))

        start("etcd", *_etcd(folder, etcd, peer))
        start("apiserver", *_api_server(folder, etcd, api))
        until(lambda: kubectl.answers("/readyz"), "the API server is not ready; see apiserver.log")
        start("controllers", BINARIES / "kube-controller-manager", *own, *_controllers(folder, controllers))
        start(
            "scheduler",
            BINARIES / "kube-scheduler",
            *own,
            f"--secure-port={scheduler}",
            f"--cert-dir={folder / 'scheduler'}",
        )
        yield kubectl


def _configuration(folder: Path, port: int) -> Path:
    """The kubeconfig of an administrator, whom the API server knows by a token."""
    (folder / "tokens.csv").write_text("administrator,administrator,administrator,system:masters\n")
    cluster = {"server": f"https://{_LOOPBACK}:{port}", "insecure-skip-tls-verify": True}
    configuration = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "trial", "cluster": cluster}],
        "users": [{"name": "administrator", "user": {"token": "administrator"}}],
        "contexts": [{"name": "trial", "context": {"cluster": "trial", "user": "administrator"}}],
        "current-context": "trial",
    }
    path = folder / "kubeconfig"
    path.write_text(json.dumps(configuration))
    return path


def _etcd(folder: Path, port: int, peer: int) -> list[str | Path]:
    client, other = f"http://{_LOOPBACK}:{port}", f"http://{_LOOPBACK}:{peer}"
    return [
        *("etcd", "--data-dir", folder / "etcd", "--unsafe-no-fsync"),
        *("--listen-client-urls", client, "--advertise-client-urls", client),
        *("--listen-peer-urls", other, "--initial-advertise-peer-urls", other, "--initial-cluster", f"default={other}"),
    ]


def _api_server(folder: Path, etcd: int, port: int) -> list[str | Path]:
    key = folder / "accounts.key"
    run("openssl", "genrsa", "-out", key, "2048")
    return [
        BINARIES / "kube-apiserver",
        f"--etcd-servers=http://{_LOOPBACK}:{etcd}",
        *(f"--bind-address={_LOOPBACK}", f"--secure-port={port}", "--insecure-port=0"),
        *(f"--cert-dir={folder / 'api'}", f"--token-auth-file={folder / 'tokens.csv'}", "--authorization-mode=RBAC"),
        *("--service-cluster-ip-range=10.96.0.0/16", "--endpoint-reconciler-type=none"),
        *(f"--service-account-issuer=https://{_LOOPBACK}:{port}", f"--service-account-key-file={key}"),
        *(f"--service-account-signing-key-file={key}", "--disable-admission-plugins=ServiceAccount"),
    ]


def _controllers(folder: Path, port: int) -> list[str]:
    """The autoscaler looks more often than it does by default, so that the trial is over sooner."""
    return [
        *(f"--secure-port={port}", f"--cert-dir={folder / 'controllers'}"),
        *(f"--service-account-private-key-file={folder / 'accounts.key'}", "--controllers=*,-nodeipam"),
        *("--horizontal-pod-autoscaler-sync-period=5s", "--horizontal-pod-autoscaler-initial-readiness-delay=1s"),
        "--horizontal-pod-autoscaler-cpu-initialization-period=1s",
    ]
