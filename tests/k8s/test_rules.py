"""Rules that manifests keep and no schema knows: names that meet, numbers that fit, pods that ask for little."""

import re
from fractions import Fraction
from typing import Any

import pytest

from tests.k8s.manifests import VARIANTS, Document, Pods, documents, name, of_kind, pods, settings

# https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
ALLOWED_VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}
# Claims that are a site's own, and are not applied with the servers.
CLAIMS_OF_THE_SITE = {"models", "runs"}
# https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
SUFFIXES = {"m": Fraction(1, 1000), "": Fraction(1), "k": Fraction(10**3), "M": Fraction(10**6), "G": Fraction(10**9)}
SUFFIXES |= {"Ki": Fraction(2**10), "Mi": Fraction(2**20), "Gi": Fraction(2**30), "Ti": Fraction(2**40)}

pytestmark = pytest.mark.parametrize("variant", VARIANTS)


def quantity(text: object) -> Fraction:
    """Of a resource, in its unit. Raises ValueError."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([a-zA-Z]*)", str(text))
    if not found or found[2] not in SUFFIXES:
        raise ValueError(f"{text!r} is not a quantity")
    return Fraction(found[1]) * SUFFIXES[found[2]]


def selected(selector: Document, variant: str) -> list[Pods]:
    """The pods that have all labels of a selector."""
    wanted = selector.get("matchLabels", selector).items()
    return [each for each in pods(variant) if wanted and wanted <= each.labels.items()]


def test_selectors_find_the_pods_that_they_are_there_for(variant: str) -> None:
    for each in of_kind(variant, "Deployment", "PodDisruptionBudget", "Service"):
        assert selected(each["spec"]["selector"], variant), name(each)
    for each in of_kind(variant, "NetworkPolicy"):
        assert selected(each["spec"]["podSelector"], variant), name(each)
    for every in pods(variant):
        for each in every.spec.get("topologySpreadConstraints", []):
            assert every in selected(each["labelSelector"], variant), every.owner


def test_ports_that_are_named_are_there_and_have_names_that_kubernetes_takes(variant: str) -> None:
    for service in of_kind(variant, "Service"):
        (found,) = {frozenset(each.ports) for each in selected(service["spec"]["selector"], variant)}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= found, name(service)
    for policy in of_kind(variant, "NetworkPolicy"):
        targets = selected(policy["spec"]["podSelector"], variant)
        named = {port["port"] for rule in policy["spec"].get("ingress", []) for port in rule.get("ports", [])}
        assert all(named <= set(each.ports) for each in targets), name(policy)
    for every in pods(variant):
        assert all(len(port) <= 15 for port in every.ports), every.owner


def test_prometheus_finds_every_pod_once(variant: str) -> None:
    for monitor in of_kind(variant, "ServiceMonitor"):
        wanted = monitor["spec"]["selector"]["matchLabels"].items()
        (endpoint,) = monitor["spec"]["endpoints"]
        services = [each for each in of_kind(variant, "Service") if wanted <= each["metadata"]["labels"].items()]
        ports = [port["name"] for each in services for port in each["spec"]["ports"]]
        assert ports.count(endpoint["port"]) == 1, ports


def test_containers_ask_for_no_more_than_they_may_take(variant: str) -> None:
    for every in pods(variant):
        for each in every.containers:
            requests, limits = each["resources"]["requests"], each["resources"]["limits"]
            assert {"cpu", "memory"} <= requests.keys() & limits.keys(), every.owner
            assert all(quantity(requests[what]) <= quantity(limits[what]) for what in requests), every.owner


def test_pods_keep_the_restricted_standard_and_a_read_only_root(variant: str) -> None:
    for every in pods(variant):
        pod = every.spec["securityContext"]
        assert pod["runAsNonRoot"], every.owner
        assert pod["runAsUser"] >= 10_000, every.owner
        assert pod["seccompProfile"] == {"type": "RuntimeDefault"}, every.owner
        assert not {"hostNetwork", "hostPID", "hostIPC"} & every.spec.keys(), every.owner
        for volume in every.spec.get("volumes", []):
            assert volume.keys() - {"name"} <= ALLOWED_VOLUMES, every.owner
        for each in every.containers:
            assert each["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, every.owner


def test_pods_get_neither_a_token_nor_variables_of_services(variant: str) -> None:
    """The server refuses SEETHROUGH_PORT, which Kubernetes sets for a Service called seethrough."""
    for every in pods(variant):
        assert every.spec["automountServiceAccountToken"] is False, every.owner
        assert every.spec["enableServiceLinks"] is False, every.owner


def test_images_have_a_tag_that_does_not_move(variant: str) -> None:
    for every in pods(variant):
        for each in every.containers:
            tag = each["image"].rpartition("/")[2].partition(":")[2]
            assert tag not in {"", "latest"}, each["image"]


def test_what_pods_mount_is_there(variant: str) -> None:
    maps = {each["metadata"]["name"] for each in of_kind(variant, "ConfigMap")}
    claims = {each["metadata"]["name"] for each in of_kind(variant, "PersistentVolumeClaim")} | CLAIMS_OF_THE_SITE
    for every in pods(variant):
        volumes = {each["name"]: each for each in every.spec.get("volumes", [])}
        assert {each["configMap"]["name"] for each in volumes.values() if "configMap" in each} <= maps
        named = [each["persistentVolumeClaim"] for each in volumes.values() if "persistentVolumeClaim" in each]
        assert {each["claimName"] for each in named} <= claims
        mounted = {each["name"] for container in every.containers for each in container.get("volumeMounts", [])}
        assert mounted == volumes.keys(), every.owner


def test_all_of_an_application_is_in_one_namespace_that_enforces_the_standard(variant: str) -> None:
    for space in of_kind(variant, "Namespace"):
        assert space["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
        inside = [each for each in documents(variant) if each is not space and each["kind"] != "Namespace"]
        assert {each["metadata"].get("namespace") for each in inside} == {space["metadata"]["name"]}


def test_a_pod_has_time_for_all_steps_of_its_end(variant: str) -> None:
    for every in pods(variant):
        for each in every.spec["containers"]:
            told = settings(variant, each)
            stop = each.get("lifecycle", {}).get("preStop", {})
            grace, drain = told.get("SEETHROUGH_GRACE_SECONDS", "0"), told.get("SEETHROUGH_DRAIN_SECONDS", "0")
            needed = stop_seconds(stop) + float(grace) + float(drain)
            assert every.spec.get("terminationGracePeriodSeconds", 30) > needed, every.owner
            if each["name"] == "server":
                assert "sleep" in stop, "before SIGTERM, the endpoints must have had time to change"
                assert float(grace) > 0
                assert float(drain) > 0


def stop_seconds(stop: dict[str, Any]) -> float:
    """How long a preStop hook takes."""
    if "sleep" in stop:
        return float(stop["sleep"]["seconds"])
    return sum(
        map(float, re.findall(r"^sleep (\d+)$", " ".join(stop.get("exec", {}).get("command", [])), re.MULTILINE))
    )


def test_one_autoscaler_at_most_sets_the_number_of_pods_and_nobody_else_does(variant: str) -> None:
    scalers = of_kind(variant, "HorizontalPodAutoscaler", "ScaledObject")
    assert len(scalers) <= 1
    for each in scalers:
        target = each["spec"]["scaleTargetRef"]["name"]
        (deployment,) = [it for it in of_kind(variant, "Deployment") if it["metadata"]["name"] == target]
        assert "replicas" not in deployment["spec"]
        for trigger in each["spec"].get("triggers", []):
            assert f'{{namespace="{each["metadata"]["namespace"]}"}}' in trigger["metadata"]["query"]
