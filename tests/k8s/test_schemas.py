"""Every resource against its schema, strictly, and against what Checkov knows of good practice.

Kubernetes' own kinds: kubernetes-validate. Those of operators: the models that cloudcoil makes from their CRDs (custom_resources.py).
The fields of KServe's kinds are not checked: its models need other versions of what is in that environment. Of its container the arguments
are tried (test_programs.py). Of a TFJob the pods are checked.
"""

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.k8s.manifests import VARIANTS, Document, documents, pods, program, render

OPERATORS = {"PrometheusRule", "ScaledObject", "ServiceMonitor"}
UNCHECKED = {"InferenceService", "ServingRuntime", "TFJob"}


def unique() -> list[Document]:
    """The resources of all variants, each once."""
    return list({json.dumps(each, sort_keys=True): each for it in VARIANTS for each in documents(it)}.values())


def test_every_resource_of_kubernetes_is_valid_to_the_last_field(tmp_path: Path) -> None:
    known = [each for each in unique() if each["kind"] not in OPERATORS | UNCHECKED]
    workers = pods("jobs/workers")
    assert workers
    known += [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "worker"}, "spec": it.spec} for it in workers]
    manifest = tmp_path / "all.yaml"
    manifest.write_text(yaml.dump_all(known, Dumper=yaml.CSafeDumper))
    command = [program("kubernetes-validate"), "--strict", str(manifest)]
    ran = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    told = ran.stdout + ran.stderr
    assert ran.returncode == 0, told
    assert "WARN" not in told, told
    assert told.count(" passed for resource ") == len(known), told


def test_every_resource_of_an_operator_is_valid_to_the_last_field(tmp_path: Path) -> None:
    known = [each for each in unique() if each["kind"] in OPERATORS]
    assert {each["kind"] for each in known} == OPERATORS
    manifest = tmp_path / "operators.yaml"
    manifest.write_text(yaml.dump_all(known, Dumper=yaml.CSafeDumper))
    command = [program("python"), str(Path(__file__).parent / "custom_resources.py"), str(manifest)]
    ran = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert (ran.returncode, ran.stdout) == (0, f"{len(known)} valid\n"), ran.stdout + ran.stderr


@pytest.mark.slow
def test_checkov_finds_nothing_that_is_not_argued_for(tmp_path: Path) -> None:
    for variant in VARIANTS:
        (tmp_path / f"{variant.replace('/', '-')}.yaml").write_text(render(variant))
    options = ["--framework", "kubernetes", "--skip-download", "--compact", "--quiet", "--output", "json"]
    command = [program("checkov"), *options, "--directory", str(tmp_path)]
    ran = subprocess.run(command, check=False, capture_output=True, text=True, timeout=600)
    report = json.loads(ran.stdout)
    failed = {(each["check_id"], each["check_name"], each["resource"]) for each in report["results"]["failed_checks"]}
    assert not failed
    assert report["summary"]["passed"] > 0
    assert report["summary"]["parsing_errors"] == 0
