"""What k8s/envoy says of the servers, beside what their own manifests say. tests/e2e tries it with a real Envoy."""

from typing import Any

import yaml

from tests.k8s.manifests import K8S, of_kind, pods, servers, settings
from tests.k8s.test_rules import stop_seconds

WITH_ENVOY = "base+envoy"


def configuration(part: str) -> dict[str, dict[str, Any]]:
    """The listeners, or the clusters, by name."""
    document = yaml.safe_load((K8S / "envoy/envoy.yaml").read_text())
    return {each["name"]: each for each in document["static_resources"][part]}


def seconds(text: str) -> float:
    """Of a duration as Envoy has it."""
    return float(text.removesuffix("s"))


def test_envoy_asks_dns_for_the_pods_and_not_for_a_cluster_ip() -> None:
    cluster = configuration("clusters")["servers"]
    (endpoint,) = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
    address = endpoint["endpoint"]["address"]["socket_address"]
    services = {each["metadata"]["name"]: each["spec"] for each in of_kind(WITH_ENVOY, "Service")}
    assert cluster["type"] == "STRICT_DNS"
    assert services[address["address"]]["clusterIP"] == "None"
    assert address["port_value"] in {each["port"] for each in services[address["address"]]["ports"]}


def test_envoy_notices_within_the_grace_of_a_server_that_it_leaves() -> None:
    (check,) = configuration("clusters")["servers"]["health_checks"]
    (server,) = servers(WITH_ENVOY)
    noticed = check["unhealthy_threshold"] * seconds(check["interval"]) + seconds(check["timeout"])
    assert noticed < float(settings(WITH_ENVOY, server)["SEETHROUGH_GRACE_SECONDS"])


def test_envoy_listens_on_the_ports_that_its_pod_names() -> None:
    (envoy,) = [each for each in pods(WITH_ENVOY) if each.labels["app.kubernetes.io/name"] == "envoy"]
    listeners = configuration("listeners")
    assert envoy.ports == {name: each["address"]["socket_address"]["port_value"] for name, each in listeners.items()}


def test_envoy_ends_after_the_longest_call_that_it_lets_pass() -> None:
    (envoy,) = [each for each in pods(WITH_ENVOY) if each.labels["app.kubernetes.io/name"] == "envoy"]
    (container,) = envoy.containers
    draining = float(container["args"][container["args"].index("--drain-time-s") + 1])
    (chain,) = configuration("listeners")["grpc"]["filter_chains"]
    (host,) = chain["filters"][0]["typed_config"]["route_config"]["virtual_hosts"]
    longest = max(seconds(each["route"]["timeout"]) for each in host["routes"] if "route" in each)
    assert stop_seconds(container["lifecycle"]["preStop"]) >= draining + longest
