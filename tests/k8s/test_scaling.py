"""What scales the servers: numbers that they really have, asked for in queries that mean what is said."""

import re
import subprocess
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import yaml

from bench.server_process import serving
from tests.bundles import make_bundle
from tests.e2e.tools import needed
from tests.k8s.manifests import K8S, of_kind

WITH_HPA = "base+components/hpa+envoy+monitoring"
WITH_KEDA = "base+components/keda+envoy+monitoring"


def hpa() -> dict[str, Any]:
    (found,) = of_kind(WITH_HPA, "HorizontalPodAutoscaler")
    spec: dict[str, Any] = found["spec"]
    return spec


def keda() -> dict[str, Any]:
    (found,) = of_kind(WITH_KEDA, "ScaledObject")
    spec: dict[str, Any] = found["spec"]
    return spec


def adapter() -> dict[str, Any]:
    """The rule for prometheus-adapter."""
    (rule,) = yaml.safe_load((K8S / "components/hpa/adapter-rules.yaml").read_text())["rules"]
    found: dict[str, Any] = rule
    return found


def asked_by_the_adapter() -> str:
    """The query that prometheus-adapter makes of its template for the pods a and b."""
    rule = adapter()
    series = rule["seriesQuery"].partition("{")[0]
    values = {"Series": series, "LabelMatchers": 'namespace="seethrough",pod=~"a|b"', "GroupBy": "pod"}
    query: str = re.sub(r"<<\.(\w+)>>", lambda found: values[found[1]], rule["metricsQuery"])
    return query


def test_the_metric_that_scales_is_one_that_a_server_has(tmp_path: Path) -> None:
    make_bundle(tmp_path / "shapes/1")
    with serving(tmp_path) as server, urlopen(f"http://{server.http}/metrics", timeout=10) as page:
        known = set(re.findall(r"^(seethrough_\w+)", page.read().decode(), re.MULTILINE))
    (trigger,) = keda()["triggers"]
    for text in (adapter()["seriesQuery"], trigger["metadata"]["query"]):
        assert set(re.findall(r"seethrough_\w+", text)) <= known
    assert [each["pods"]["metric"]["name"] for each in hpa()["metrics"]] == [adapter()["name"]["as"]]
    assert re.search(adapter()["name"]["matches"], adapter()["seriesQuery"].partition("{")[0])


def test_both_ways_of_scaling_come_to_the_same() -> None:
    ours, theirs = hpa(), keda()
    (metric,), (trigger,) = ours["metrics"], theirs["triggers"]
    assert metric["pods"]["target"]["averageValue"] == trigger["metadata"]["threshold"]
    assert metric["pods"]["target"]["type"] == trigger["metricType"]
    bounds = ours["minReplicas"], ours["maxReplicas"], ours["behavior"]
    generated = theirs["advanced"]["horizontalPodAutoscalerConfig"]
    assert bounds == (theirs["minReplicaCount"], theirs["maxReplicaCount"], generated["behavior"])


def test_the_queries_answer_the_mean_of_a_minute_for_each_pod_and_for_all(tmp_path: Path) -> None:
    """By Prometheus' own test of rules: four looks a minute, at two pods, and at one of another namespace."""
    (trigger,) = keda()["triggers"]
    series = {
        '{namespace="seethrough",pod="a"}': "0 0 0 0 10 20 30 40",
        '{namespace="seethrough",pod="b"}': "0 0 0 0 4 4 4 4",
        '{namespace="other",pod="a"}': "0 0 0 0 900 900 900 900",
    }
    expected = {
        asked_by_the_adapter(): [{"labels": '{pod="a"}', "value": 25}, {"labels": '{pod="b"}', "value": 4}],
        trigger["metadata"]["query"]: [{"labels": "{}", "value": 29}],
    }
    checks = [{"expr": expr, "eval_time": "110s", "exp_samples": samples} for expr, samples in expected.items()]
    inputs = [{"series": f"seethrough_inflight_images{labels}", "values": values} for labels, values in series.items()]
    document = {
        "evaluation_interval": "5s",
        "tests": [{"interval": "15s", "input_series": inputs, "promql_expr_test": checks}],
    }
    path = tmp_path / "queries.yaml"
    path.write_text(yaml.safe_dump(document))
    command = [needed("promtool", package="prometheus"), "test", "rules", str(path)]
    ran = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stdout + ran.stderr
