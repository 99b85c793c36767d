"""An overlay takes the monitoring in as the component's own first lines, and the page about operations, say."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.k8s.manifests import documents, program

ROOT = Path(__file__).parents[2]
COMPONENT = ROOT / "k8s/monitoring/kustomization.yaml"


def built(overlay: dict[str, Any], folder: Path) -> list[dict[str, Any]]:
    """The objects of an overlay that lies in `folder`, with paths as if it lay beside the others."""
    there = os.path.relpath(ROOT / "k8s/overlays/canary", folder)
    for key in ("resources", "components"):
        overlay[key] = [os.path.normpath(f"{there}/{path}") for path in overlay.get(key, [])]
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    command = [program("kubectl"), "kustomize", str(folder)]
    return list(yaml.safe_load_all(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout))


def test_an_overlay_says_where_the_runbook_is(tmp_path: Path) -> None:
    comment = [line[2:] for line in COMPONENT.read_text().splitlines() if line.startswith("#  ")]
    objects = built(yaml.safe_load("\n".join(comment)), tmp_path)
    (rules,) = (each for each in objects if each["kind"] == "PrometheusRule")
    alerts = [rule for group in rules["spec"]["groups"] for rule in group["rules"] if "alert" in rule]
    for alert in alerts:
        assert alert["annotations"]["runbook_url"] == f"https://...#{alert['alert'].lower()}"
    assert {each["kind"] for each in objects} == {"PrometheusRule", "ServiceMonitor", "ConfigMap"}


def test_the_canary_of_the_page_about_operations_is_one_server_in_a_namespace_of_its_own(tmp_path: Path) -> None:
    (overlay,) = re.findall(
        r"```yaml\n# k8s/overlays/canary.*?\n(.*?)```", (ROOT / "docs/operations.md").read_text(), re.DOTALL
    )
    objects = built(yaml.safe_load(overlay), tmp_path)
    assert {each["metadata"].get("namespace", "") for each in objects} <= {"seethrough-canary", ""}
    (deployment,) = (each for each in objects if each["kind"] == "Deployment")
    assert deployment["spec"]["replicas"] == 1
    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"] == "seethrough:0.2.0"


def test_prometheus_finds_each_pod_once() -> None:
    objects = documents("overlays/cpu+monitoring")
    (monitor,) = (each for each in objects if each["kind"] == "ServiceMonitor")
    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    (port,) = (endpoint["port"] for endpoint in monitor["spec"]["endpoints"])
    found = [
        service["metadata"]["labels"][monitor["spec"]["jobLabel"]]
        for service in objects
        if service["kind"] == "Service"
        and wanted <= service["metadata"]["labels"].items()
        and port in {each["name"] for each in service["spec"]["ports"]}
    ]
    assert found == ["seethrough"]
