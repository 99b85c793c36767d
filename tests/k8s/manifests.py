"""The manifests as kustomize renders them: every overlay, and the components in every combination that makes sense."""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
K8S = ROOT / "k8s"
PROGRAMS = ROOT / "build/venvs/deploy/bin"

Document = dict[str, Any]

# What is applied as it is.
FOLDERS = ("overlays/cpu", "overlays/gpu", "overlays/dev", "jobs", "jobs/workers", "jobs/workers/export", "kserve")
# What a site puts together: where models come from, what scales, and always Envoy and the monitoring.
CHOICES = [
    ("base", *(part for part in chosen if part), "envoy", "monitoring")
    for chosen in product(
        ("", "components/models-image", "components/models-baked"), ("", "components/hpa", "components/keda")
    )
]
VARIANTS = [*FOLDERS, *("+".join(parts) for parts in CHOICES)]


def program(name: str) -> str:
    """The path of a program of that environment; skips the test where it is not built (in CI, that fails)."""
    path = PROGRAMS / name
    if not path.exists():
        pytest.skip(f"{name} is not there: build its environment with `make deploy`")
    return str(path)


@cache
def render(variant: str) -> str:
    """What `kubectl apply -k` would send, as YAML: of a folder, or of a base with components behind it, with `+` between."""
    base, *components = variant.split("+")
    if not components:
        return _kustomize(K8S / base)
    with TemporaryDirectory() as folder:
        site = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "namespace": "seethrough",
            "resources": [os.path.relpath(K8S / base, os.path.realpath(folder))],
            "components": [os.path.relpath(K8S / each, os.path.realpath(folder)) for each in components],
        }
        (Path(folder) / "kustomization.yaml").write_text(yaml.safe_dump(site))
        return _kustomize(Path(folder))


def _kustomize(folder: Path) -> str:
    command = [program("kubectl"), "kustomize", str(folder)]
    ran = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    assert not ran.stderr, ran.stderr  # what is deprecated is told there
    return ran.stdout


@cache
def documents(variant: str) -> list[Document]:
    """The resources of a variant; to be read, not changed."""
    return list(yaml.load_all(render(variant), yaml.CSafeLoader))


def of_kind(variant: str, *kinds: str) -> list[Document]:
    """Those of these kinds."""
    return [each for each in documents(variant) if each["kind"] in kinds]


def name(document: Document) -> str:
    """For people."""
    return f"{document['kind']}/{document['metadata']['name']}"


@dataclass(frozen=True)
class Pods:
    """The pods that a resource makes."""

    owner: str
    labels: Mapping[str, str]
    spec: Document

    @property
    def containers(self) -> list[Document]:
        """All of them, in the order in which they start."""
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]

    @property
    def ports(self) -> dict[str, int]:
        """By name."""
        return {port["name"]: port["containerPort"] for each in self.containers for port in each.get("ports", [])}


@cache
def pods(variant: str) -> list[Pods]:
    """Of every Deployment, Job and TFJob."""
    templates = {name(each): each["spec"]["template"] for each in of_kind(variant, "Deployment", "Job")}
    for job in of_kind(variant, "TFJob"):
        templates |= {f"{name(job)}, {role}": each["template"] for role, each in job["spec"]["tfReplicaSpecs"].items()}
    return [Pods(owner, each["metadata"]["labels"], each["spec"]) for owner, each in templates.items()]


def servers(variant: str) -> list[Document]:
    """The containers that run `python -m server`."""
    return [each for every in pods(variant) for each in every.spec["containers"] if each["name"] == "server"]


def settings(variant: str, container: Document) -> dict[str, str]:
    """The variables of a container, with those that come from ConfigMaps."""
    maps = {each["metadata"]["name"]: each["data"] for each in of_kind(variant, "ConfigMap")}
    found: dict[str, str] = {}
    for source in container.get("envFrom", []):
        found |= maps[source["configMapRef"]["name"]]
    return found | {each["name"]: each["value"] for each in container.get("env", [])}
